// Quantized models are repacked into the pool when they are loaded: every type loads and computes, the file's pages are
// released, memory stays near the file's size, and a load that is cancelled or refused leaves nothing.
import { execFile } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { quantizedTypes } from '../../src/ops/quantized/quantized-type.js';
import { modelFiles, small, someIds, tiny } from '../support/models/model-files.js';
import { writeRandomModel } from '../support/models/random-model.js';
import type { WeightType } from '../support/models/random-weights.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const engines = sharedEngines();
const write = modelFiles();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const library = new URL('../../dist/src/index.js', import.meta.url).href;
const shape = { architecture: 'llama', layers: 2, dim: 256, heads: 8, kvHeads: 4, ffn: 512, vocab: 300 };

let files = 0;
async function writeType(type: WeightType, options: Partial<typeof shape> = {}): Promise<string> {
  const path = folder.file(`${files++}.gguf`);
  await writeRandomModel(path, { ...shape, ...options, type, optional: (name) => name === 'output.weight' });
  return path;
}

function held(engine: Engine) {
  const { pool } = engine.stats();
  return {
    rentedBytes: pool.rentedBytes,
    liveTensors: pool.liveTensors,
    files: readdirSync('/proc/self/fd').length,
  };
}

test.each(Object.keys(quantizedTypes) as WeightType[])('%s: loads, computes, and lets the file go', async (type) => {
  const engine = await engines({ threads: 2 });
  const before = held(engine);
  const path = await writeType(type);
  const model = await engine.loadModel(path);
  expect(model.info.tensorTypes).toEqual({ [type]: 2 + 2 * 7, F32: 2 * 2 + 1 });
  expect(held(engine)).toMatchObject({ files: before.files });
  expect(held(engine).rentedBytes - before.rentedBytes).toBeLessThan(1.2 * statSync(path).size);
  const logits = await model.logits(someIds(5, shape.vocab));
  expect(logits.every(Number.isFinite)).toBe(true);
  expect(new Set(logits).size).toBeGreaterThan(100);
  model.dispose();
  expect(held(engine)).toEqual(before);
});

test('progress counts the bytes of the file as they are packed', async () => {
  const engine = await engines({ threads: 2 });
  const seen: { loadedBytes: number; totalBytes: number }[] = [];
  using model = await engine.loadModel(await writeType('Q4_K'), { onProgress: (progress) => seen.push(progress) });
  expect(model.info.weightBytes).toBeGreaterThan(0);
  expect(seen.length).toBe(2 + 2 * 7 + 2 * 2 + 1);
  const totalBytes = seen[0]?.totalBytes as number;
  expect(seen.at(-1)).toEqual({ loadedBytes: totalBytes, totalBytes });
  seen.reduce((last, { loadedBytes }) => {
    expect(loadedBytes).toBeGreaterThan(last);
    return loadedBytes;
  }, 0);
});

describe('nothing is left of a load', () => {
  test('that is cancelled after any number of tensors', async () => {
    const engine = await engines({ threads: 2 });
    const path = await writeType('Q8_0');
    const before = held(engine);
    const reason = new Error('enough');
    for (const after of [1, 2, 7, 20]) {
      const controller = new AbortController();
      let count = 0;
      const onProgress = () => {
        if (++count === after) controller.abort(reason);
      };
      await expectAbort(engine.loadModel(path, { signal: controller.signal, onProgress }), reason);
      expect(held(engine)).toEqual(before);
    }
  });

  test('that exceeds the budget, which fails before anything is read', async () => {
    const path = await writeType('Q8_0', { dim: 512, ffn: 2048 });
    await using roomy = await Engine.create({ threads: 1, memoryBudget: 2 ** 30 });
    const teamBytes = 2 ** 30 - roomy.stats().pool.budgetBytes;
    await using engine = await Engine.create({ threads: 1, memoryBudget: teamBytes + (1 << 20) });
    const onProgress = () => expect.unreachable();
    await expectRejection(engine.loadModel(path, { onProgress }), 'ERR_BUDGET', /the weights need \d+ bytes/);
    expect(engine.stats()).toMatchObject({ pool: { rentedBytes: 0, liveTensors: 0 } });
  });

  test('of a type that is not supported, or of a vector in a type for matrices', async () => {
    const engine = await engines({ threads: 2 });
    const before = held(engine);
    const unsupported = await write({ ...tiny, dim: 256, ffn: 256 }, ({ tensors }) => {
      const index = tensors.findIndex(({ name }) => name === 'blk.0.ffn_up.weight');
      tensors[index] = {
        name: 'blk.0.ffn_up.weight',
        type: 'IQ2_XXS',
        shape: [256, 256],
        data: new Uint8Array(256 * 66),
      };
    });
    const message = /"blk\.0\.ffn_up\.weight" has type IQ2_XXS, which is not supported; supported are F32, .*IQ4_XS/;
    await expectRejection(engine.loadModel(unsupported), 'ERR_UNSUPPORTED', message);
    const vector = await write(small, ({ tensors }) => {
      const index = tensors.findIndex(({ name }) => name === 'output_norm.weight');
      tensors[index] = { name: 'output_norm.weight', type: 'Q8_0', shape: [128], data: new Uint8Array(4 * 34) };
    });
    await expectRejection(
      engine.loadModel(vector),
      'ERR_UNSUPPORTED',
      /"output_norm\.weight" has type Q8_0, which only/,
    );
    expect(held(engine)).toEqual(before);
  });
});

/** How much a process's resident set grows by loading a model, as the kernel reports it. */
async function residentAfterLoad(path: string) {
  const source = `
    import { readFileSync } from 'node:fs';
    import { Engine } from ${JSON.stringify(library)};
    const resident = () => ['RssAnon', 'RssFile', 'RssShmem'].reduce((sum, key) =>
      sum + 1024 * readFileSync('/proc/self/status', 'utf8').match(new RegExp(key + ':\\\\s*(\\\\d+)'))[1], 0);
    const engine = await Engine.create({ threads: 2 });
    gc();
    const before = resident();
    const model = await engine.loadModel(${JSON.stringify(path)});
    gc();
    const loaded = resident() - before;
    await model.generateBatch([[1, 2, 3]], { maxTokens: 2, ignoreEos: true });
    gc();
    console.log(JSON.stringify({ loaded, used: resident() - before }));
    model.dispose();
    await engine.close();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--input-type=module', '-e', source]);
  return JSON.parse(stdout) as { loaded: number; used: number };
}

test('the resident set stays near the size of the file', { timeout: 120_000 }, async () => {
  const path = await writeType('Q4_K', { layers: 12, dim: 1536, ffn: 4096, vocab: 20_000, heads: 24, kvHeads: 8 });
  const { size } = statSync(path);
  expect(size).toBeGreaterThan(150e6);
  const { loaded, used } = await residentAfterLoad(path);
  // Beside the weights: the header, the tokenizer, the programs and a session's pages.
  const slackBytes = 24 << 20;
  expect(loaded).toBeLessThan(1.15 * size + slackBytes);
  expect(loaded).toBeGreaterThan(0.9 * size);
  expect(used).toBeLessThan(1.15 * size + 3 * slackBytes);
});
