// The options of a generation: defaults, ranges, and what excludes each other.
import { describe, expect, test, vi } from 'vitest';
import { type GenerateOptions, settingsOf } from '../../src/generation/generate-options.js';
import { checkDeadline, type TurnOptions, turnOf } from '../../src/generation/turn-options.js';

const fails = (code: string, message: RegExp) =>
  expect.objectContaining({ code, op: 'generate', message: expect.stringMatching(message) });

const settings = (options: GenerateOptions = {}) => settingsOf(options, 'generate', 10);
const tags = { tags: [], triggers: ['<'] } as const;

describe('the options of a generation', () => {
  test('have defaults', () => {
    expect(settings()).toMatchObject({ maxTokens: 128, ignoreEos: false, stop: [] });
    const { logprobs, format, signal, sampling } = settings();
    expect([logprobs, format, signal]).toEqual([undefined, undefined, undefined]);
    expect(sampling.settings.temperature).toBe(0);
  });

  test('are taken as they are', () => {
    const { signal } = new AbortController();
    const format = { regex: 'a' };
    expect(settings({ maxTokens: 0, logprobs: 100, format, signal })).toMatchObject({
      maxTokens: 0,
      logprobs: 100,
      format,
      signal,
    });
    expect(settings({ ignoreEos: true, stop: ['a'], logprobs: 0 })).toMatchObject({
      ignoreEos: true,
      stop: ['a'],
      logprobs: 0,
    });
    expect(settings({ temperature: 2, logitBias: { 9: 1 } }).sampling.settings.temperature).toBe(2);
    expect(settings({ priority: 1, deadlineMs: 5, tenant: 'a' })).toMatchObject({ maxTokens: 128 });
  });

  test.each<[string, object, RegExp]>([
    ['no option of that name', { maxToken: 3 }, /there is no option maxToken/],
    ['maxTokens below 0', { maxTokens: -1 }, /maxTokens must be an integer of at least 0/],
    ['ignoreEos that is no boolean', { ignoreEos: 1 }, /ignoreEos/],
    ['more than 100 alternatives', { logprobs: 101 }, /logprobs/],
    ['less than none', { logprobs: -1 }, /logprobs/],
    ['a signal that is none', { signal: {} }, /signal/],
    ['a stop sequence without text', { stop: [''] }, /stop/],
    ['a format that is none', { format: 'json' }, /format/],
    ['a format with a stop sequence', { format: { json: true }, stop: ['a'] }, /cannot be combined/],
    ['a format with an empty list of them', { format: { json: true }, stop: [] }, /cannot be combined/],
    ['a format that goes on after its end', { format: { json: true }, ignoreEos: true }, /cannot be combined/],
    ['tags in a text that goes on after its end', { format: tags, ignoreEos: true }, /cannot be combined/],
  ])('refuse %s', (_, options, message) => {
    expect(() => settings(options as GenerateOptions)).toThrow(fails('ERR_ARGUMENT', message));
  });

  test('take biases for tokens of the vocabulary alone', () => {
    expect(() => settings({ logitBias: { 10: 1 } })).toThrow(/logitBias must be the id of a token, got "10"/);
  });

  test('allow stop sequences in the free text around tags, and ignoreEos: false with any format', () => {
    expect(settings({ format: tags, stop: ['a'] }).stop).toEqual(['a']);
    expect(settings({ format: { json: true }, ignoreEos: false }).ignoreEos).toBe(false);
  });
});

describe('the turn of a request', () => {
  const turn = (options: TurnOptions = {}) => turnOf(options, 'generate', 1000);

  test('is that of everybody by default', () => {
    expect(turn()).toEqual({ priority: 0, tenant: '', deadlineAt: undefined });
  });

  test('has a deadline that counts from the call', () => {
    const given = { priority: -100, deadlineMs: 1, tenant: 'x'.repeat(256) };
    expect(turn(given)).toEqual({ priority: -100, tenant: given.tenant, deadlineAt: 1001 });
    expect(turn({ priority: 100, tenant: 'x' })).toMatchObject({ priority: 100, tenant: 'x' });
  });

  test.each<[string, unknown]>([
    ['priority', 101],
    ['priority', -101],
    ['deadlineMs', 0],
    ['deadlineMs', 1.5],
    ['tenant', ''],
    ['tenant', 'x'.repeat(257)],
    ['tenant', ['x']],
    ['tenant', null],
  ])('refuses %s %s', (name, value) => {
    expect(() => turn({ [name]: value })).toThrow(fails('ERR_ARGUMENT', new RegExp(name)));
  });

  test('is over at the deadline', () => {
    const at = (deadlineAt: number | undefined) => checkDeadline({ ...turn(), deadlineAt }, 'generate');
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1000);
    at(undefined);
    at(1001);
    for (const past of [1000, 0]) expect(() => at(past)).toThrow(fails('ERR_DEADLINE', /deadlineMs/));
    clock.mockRestore();
  });
});
