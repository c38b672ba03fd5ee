// Compiling formats for a model in a thread: what is shared, what is kept, and who hears of a failure.
import { getEventListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { findWorkerFile, useWorkerFile } from '../../src/base/package-files.js';
import { ConstraintState } from '../../src/constraint/constraint.js';
import { ConstraintCompiler } from '../../src/constraint/constraint-compiler.js';
import type { Format } from '../../src/constraint/format.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { temporaryFolder } from '../support/temporary-folder.js';

/** A tokenizer as far as constraints use it. */
function newTokenizer() {
  const texts = ['</s>', 'a', 'b', 'ab', '"', '1'];
  const tokenBytes = vi.fn((id: number) => Buffer.from(texts[id] as string));
  const tokenizer = { vocabularySize: texts.length, endIds: new Set([0]), isControl: () => false, tokenBytes };
  return { tokenizer: tokenizer as unknown as Tokenizer, tokenBytes };
}

function newCompiler({ timeoutMs = 20_000, ...given }: { timeoutMs?: number; tokenizer?: Tokenizer } = {}) {
  const compiler = new ConstraintCompiler(given.tokenizer ?? newTokenizer().tokenizer, 70, timeoutMs);
  return (format: Format, signal?: AbortSignal) => compiler.compile(format, signal);
}

/** Is compiled for a while. */
const slow = { jsonSchema: { enum: Array.from({ length: 60_000 }, (_, i) => `word ${(i * 7919) % 1_000_003}`) } };

/** A thread that never ends to compile the letter a, and refuses all else. */
const neverEnding = `
const { parentPort } = require('node:worker_threads');
parentPort.on('message', ({ json }) => {
  if (json === '{"regex":"a"}') for (;;);
  parentPort.postMessage({ problem: 'is refused', code: 'ERR_FORMAT' });
});
parentPort.postMessage('ready');
`;

test('a signal takes out its caller alone; when all are gone, the work ends', async () => {
  const folder = temporaryFolder();
  const built = findWorkerFile();
  writeFileSync(folder.file('worker.cjs'), neverEnding);
  useWorkerFile(folder.file('worker.cjs'));
  const compile = newCompiler();
  const isWaiting = ({ signal }: AbortController) => getEventListeners(signal, 'abort').length > 0;
  const begin = async () => {
    const controllers = [new AbortController(), new AbortController()] as const;
    const compiling = controllers.map(({ signal }) => compile({ regex: 'a' }, signal).catch((error) => error));
    await expect.poll(() => controllers.every(isWaiting), { interval: 1 }).toBe(true);
    return { controllers, compiling };
  };
  try {
    // The second time, the thread is one that was made after the first.
    for (const reason of ['first', 'second']) {
      const { controllers, compiling } = await begin();
      const next = compile({ regex: 'b' }).catch((error) => error);
      for (const [i, controller] of controllers.entries()) {
        controller.abort(`${reason} ${i}`);
        expect(await compiling[i]).toMatchObject({ code: 'ABORT_ERR', cause: `${reason} ${i}` });
        expect(controllers.map(isWaiting)).toEqual([false, i === 0]);
      }
      expect(await next).toMatchObject({ code: 'ERR_FORMAT', message: 'is refused' });
    }
    // And the last one, so that the next test has another.
    const { controllers, compiling } = await begin();
    for (const controller of controllers) controller.abort();
    await Promise.all(compiling);
  } finally {
    useWorkerFile(built);
    folder.remove();
  }
});

test('a format becomes a constraint on the tokens, with a bit for each logit', async () => {
  const compile = newCompiler();
  for (const [format, first] of [
    [{ regex: 'ab*' }, [1, 3]],
    [{ jsonSchema: { enum: ['a', 1] } }, [4, 5]],
    [{ json: true }, [4, 5]],
    [{ tags: [], triggers: ['a'] }, [0, 2, 4, 5]],
  ] as const) {
    const mask = await new ConstraintState(await compile(format)).mask(undefined);
    expect(mask).toHaveLength(3);
    expect([0, 1, 2, 3, 4, 5].filter((id) => ((mask[0] as number) >>> id) & 1)).toEqual(first);
  }
});

test('equal formats share one constraint, of which the last eight are kept', async () => {
  const compile = newCompiler();
  const [a, same] = await Promise.all([compile({ regex: 'a' }), compile({ regex: 'a' })]);
  expect(same).toBe(a);
  const others = [];
  for (let i = 0; i < 7; i++) others.push(await compile({ regex: `b{${i + 1}}` }));
  expect(await compile({ regex: 'a' })).toBe(a);
  await compile({ regex: 'ab' });
  expect(await compile({ regex: 'a' })).toBe(a);
  expect(await compile({ regex: 'b{1}' })).not.toBe(others[0]);
});

test('the trie of the tokens is made once', async () => {
  const { tokenizer, tokenBytes } = newTokenizer();
  const compile = newCompiler({ tokenizer });
  await compile({ regex: 'a' });
  const calls = tokenBytes.mock.calls.length;
  expect(calls).toBeGreaterThan(0);
  await compile({ regex: 'b' });
  expect(tokenBytes.mock.calls).toHaveLength(calls);
});

test('a failure has the code ERR_FORMAT, and is not kept', async () => {
  const compile = newCompiler();
  const failures = [];
  for (let i = 0; i < 2; i++) failures.push(await compile({ regex: '(' }).catch((error) => error));
  expect(failures[0]).toMatchObject({
    code: 'ERR_FORMAT',
    message: 'the regular expression /(/ has a ( without its )',
  });
  expect(failures[1]).toMatchObject({ code: 'ERR_FORMAT' });
  expect(failures[1]).not.toBe(failures[0]);
  const none = { code: 'ERR_FORMAT', message: 'no text matches this format' };
  await expect(compile({ regex: '[]' })).rejects.toMatchObject(none);
  const late = newCompiler({ timeoutMs: 1 })(slow);
  await expect(late).rejects.toMatchObject({ code: 'ERR_FORMAT', message: 'the format takes more than 1 ms' });
});

test('a format with too many members, or nested too deep, is none', async () => {
  const compile = newCompiler();
  const refused = expect.objectContaining({
    code: 'ERR_ARGUMENT',
    message: expect.stringMatching(/^the members of the format/),
  });
  await expect(compile({ jsonSchema: { enum: new Array(500_001).fill(0) } })).rejects.toEqual(refused);
  let deep: object = {};
  for (let i = 0; i < 513; i++) deep = { items: deep };
  await expect(compile({ jsonSchema: deep as Record<string, unknown> })).rejects.toEqual(refused);
});

test('a signal that has fired keeps a format from being compiled, also one that fires while the format is read', async () => {
  const compile = newCompiler();
  await expect(compile({ regex: 'b' }, AbortSignal.abort('early'))).rejects.toMatchObject({ cause: 'early' });
  const controller = new AbortController();
  const format = {
    get regex() {
      controller.abort('inside');
      return 'b';
    },
  };
  await expect(compile(format, controller.signal)).rejects.toMatchObject({ code: 'ABORT_ERR', cause: 'inside' });
});

test('those who ask after a format was given up share one constraint', async () => {
  const compile = newCompiler();
  const controller = new AbortController();
  const given = compile(slow, controller.signal).catch((error) => error);
  await expect.poll(() => getEventListeners(controller.signal, 'abort').length, { interval: 1 }).toBe(1);
  const format = { regex: 'ab?' };
  const first = compile(format, controller.signal).catch((error) => error);
  await nextTurn();
  controller.abort();
  const second = compile(format);
  expect(await Promise.all([given, first])).toMatchObject([{ code: 'ABORT_ERR' }, { code: 'ABORT_ERR' }]);
  await nextTurn();
  expect(await compile(format)).toBe(await second);
});
