// `tesserae serve` as a child process: where it listens, signals, exit codes, mistakes.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { runCli } from '../cli/run-cli.js';
import { bundledModelF32Path, bundledModelPath } from '../support/models/bundled-model.js';
import { post } from './running-server.js';

const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

async function serve(...args: string[]) {
  const child = spawn(process.execPath, [main, 'serve', '--threads', '1', '--port', '0', '--json', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  return { child, exit, ...(JSON.parse(String(line)) as { url: string; models: string[] }) };
}

const messages = [{ role: 'user', content: 'The sea' }];
const long = { messages, stream: true, max_tokens: 480, temperature: 0 };

test('serves models by their names, finishes at SIGTERM, and exits with 0', async () => {
  const given = ['--model', bundledModelPath, '--model', bundledModelF32Path, '--name', 'tiny'];
  const { child, exit, url, models } = await serve('--api-key', 'secret', ...given);
  expect(models).toEqual(['tiny', 'tesserae-tiny-f32']);
  const key = { authorization: 'Bearer secret' };
  const shown = await (await fetch(`${url}/v1/models`, { headers: key })).json();
  expect(shown).toMatchObject({ data: [{ id: 'tiny' }, { id: 'tesserae-tiny-f32' }] });
  expect((await fetch(`${url}/v1/models`)).status).toBe(401);
  const reply = await post(`${url}/v1/chat/completions`, { ...long, model: 'tiny', max_tokens: 50 }, key);
  const top = await runCli(['top', url, '--api-key', 'secret', '--json']);
  expect({ code: top.code, stderr: top.stderr }).toEqual({ code: 0, stderr: '' });
  child.kill('SIGTERM');
  expect(await reply.text()).toContain('data: [DONE]');
  expect(await exit).toBe(0);
});

test('exits with 1 at once at the second signal', async () => {
  const { child, exit, url } = await serve('--grace-ms', '60000');
  const replies = await Promise.all(Array.from({ length: 16 }, () => post(`${url}/v1/chat/completions`, long)));
  expect(replies.every(({ status }) => status === 200)).toBe(true);
  child.kill('SIGTERM');
  await expect.poll(async () => (await fetch(`${url}/ready`)).status, { timeout: 10_000 }).toBe(503);
  child.kill('SIGTERM');
  expect(await exit).toBe(1);
  await Promise.allSettled(replies.map((reply) => reply.body?.cancel()));
});

describe('reports in one line', () => {
  const busy = createServer().listen(0, '127.0.0.1');
  const portOf = () => String((busy.address() as { port: number }).port);
  afterAll(() => busy.close());

  test.each([
    ['a host without a key', () => ['--host', '0.0.0.0', '--port', '0'], 2, /can be reached by other machines/],
    ['a port that is taken', () => ['--port', portOf()], 1, /cannot listen at 127\.0\.0\.1:[0-9]+: EADDRINUSE/],
    ['a taken port, before it loads', () => ['--model', '/nowhere', '--port', portOf()], 1, /EADDRINUSE/],
    ['a host without a key, before it loads', () => ['--model', '/nowhere', '--host', '0.0.0.0'], 2, /give an API key/],
    ['no port', () => ['--port', '65536'], 2, /--port.*from 0 to 65535/],
    ['an absent template', () => ['--chat-template', '/nowhere'], 1, /nowhere/],
    ['models of one name', () => ['--model', 'a/x.gguf', '--model', 'b/x.gguf'], 2, /two models have one name/],
  ])('%s', async (_what, args, code, message) => {
    const result = await runCli(['serve', '--threads', '1', ...args()]);
    expect({ code: result.code, lines: result.stderr.split('\n').length }).toEqual({ code, lines: 2 });
    expect(result.stderr).toMatch(message);
  });
});
