// Failures that nobody looks at: in a process that ends at the first unhandled rejection, on the built package.
import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { modelFiles, tiny } from '../support/models/model-files.js';

const library = new URL('../../dist/src/index.js', import.meta.url).href;
const write = modelFiles();

function run(source: string, signal: AbortSignal): Promise<{ code: number | null; output: string }> {
  const args = ['--unhandled-rejections=strict', '--expose-gc', '--input-type=module', '-e', source];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

test('of generations are no unhandled rejections, and callbacks that throw or reject fail their own call', async (context) => {
  const path = await write(tiny);
  const source = `
    import { setTimeout as sleep } from 'node:timers/promises';
    import { Engine } from ${JSON.stringify(library)};
    const engine = await Engine.create({ threads: 2 });
    const model = await engine.loadModel(${JSON.stringify(path)}, { contextLength: 64, serving: { maxQueued: 2 } });
    const failing = () => [
      model.generate([9999]), model.generate('a', { topP: 7 }), model.generate('a', { signal: AbortSignal.abort() }),
      model.generate('a', { deadlineMs: 1, maxTokens: 60 }), model.generate(new Array(100).fill(1)), model.chat([]),
      ...Array.from({ length: 20 }, () => model.generate('a', { maxTokens: 40 })),
    ];
    // Neither read nor awaited, dropped at once or later; with a result that was asked for and forgotten.
    failing();
    const kept = failing();
    for (const generation of failing()) generation.result;
    for (const generation of failing()) generation.return();
    const session = model.session();
    session.generate([9999]);
    session.generate('a');
    session.generate('b');
    const failures = [];
    const expectFailure = (call) => call.then(() => failures.push('none'), (error) => failures.push(error.message));
    const texts = ['a', 'b', 'c', 'd'];
    const thrower = () => { throw new Error('thrown'); };
    const rejecter = async () => { await sleep(1); throw new Error('rejected'); };
    for (const onProgress of [thrower, rejecter]) {
      await expectFailure(model.generateBatch(texts, { maxTokens: 3, onProgress }));
      await expectFailure(model.generateBatch(texts, { maxTokens: 3, onProgress, settle: true }));
      await expectFailure(model.complete('a', { maxTokens: 3, n: 3, onProgress }));
      await expectFailure(model.embed(texts, { onProgress }));
      await expectFailure(model.embed('a', { onProgress }));
      await expectFailure(model.embed(new Array(70).fill(1), { truncate: 'end', onTruncated: onProgress }));
    }
    const each = model.generateEach(texts, { maxTokens: 3 });
    await each.next();
    each.return();
    const source = (async function* () { yield 'a'; throw new Error('source'); })();
    const broken = model.generateEach(source, { maxTokens: 3 });
    await broken.next();
    await expectFailure(broken.next());
    gc();
    await sleep(50);
    gc();
    model.generate('a', { maxTokens: 60 });
    for (const generation of Array.from({ length: 5 }, () => model.generate('a', { maxTokens: 60 }))) generation.result;
    await engine.close();
    console.log(kept.length, failures.join(' '));`;
  const { code, output } = await run(source, context.signal);
  const sixTimes = (word: string) => new Array(6).fill(word).join(' ');
  expect(output).toBe(`26 ${sixTimes('thrown')} ${sixTimes('rejected')} source\n`);
  expect(code).toBe(0);
});
