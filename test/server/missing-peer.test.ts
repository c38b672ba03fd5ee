// Without Fastify, or with one that is too old, there is one line that names it.
import { afterEach, expect, test, vi } from 'vitest';
import { createServer } from '../../src/server/index.js';
import { serverSettings } from '../../src/server/server-options.js';

const engine = { pressure: () => ({}) };
const options = { engine, models: { a: { generate: () => {} } } } as unknown as Parameters<typeof createServer>[0];
afterEach(() => vi.doUnmock('fastify'));

test('a missing package is named, and how to install it', async () => {
  vi.doMock('fastify', () => {
    throw new Error("Cannot find package 'fastify'");
  });
  await expect(createServer(options)).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: 'tesserae/server needs the package fastify, 5 or newer: npm install fastify',
  });
});

test('an old package is named, with its version', async () => {
  vi.doMock('fastify', () => ({ fastify: () => ({ version: '4.29.1' }) }));
  await expect(createServer(options)).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED', message: /and 4\.29\.1 is/ });
});

test.each([
  ['an option that does not exist', { speed: 1 }, /no option speed/],
  ['no model', { models: {} }, /at least one model/],
  ['no engine', { engine: {} }, /engine must be an engine/],
  ['keys with spaces', { apiKeys: ['a b'] }, /apiKeys must be/],
  ['a limit of nothing', { maxRequests: 0 }, /maxRequests must be/],
])('%s is refused', (_what, given, message) => {
  expect(() => serverSettings({ ...options, ...given } as never)).toThrow(message);
});
