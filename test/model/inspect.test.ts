// `engine.inspect`: what it reports is what loading then gives and takes, for every architecture, type and kind of file, and
// it takes nothing itself. That it refuses what loading refuses is checked in load.test.ts.
import { readdirSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { keyValueTypes } from '../../src/ops/paged/key-value-pages.js';
import { quantizedTypes } from '../../src/ops/quantized/quantized-type.js';
import { decoders, encoders } from '../support/models/all-architectures.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { safetensorsBytes, writeFolder } from '../support/models/huggingface-folder.js';
import { pairs, translated } from '../support/models/huggingface-pairs.js';
import { modelPaths } from '../support/models/model-files.js';
import type { WeightType } from '../support/models/random-weights.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const engines = sharedEngines();
const write = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());

function held(engine: Engine) {
  const { pool } = engine.stats();
  return { rentedBytes: pool.rentedBytes, rents: pool.rents, files: readdirSync('/proc/self/fd').length };
}

/** Inspects, then loads: what is reported is what loading takes and `model.info` says. */
async function expectTrue(path: string): Promise<void> {
  const engine = await engines({ threads: 2 });
  const before = held(engine);
  const { tokenizer, loadBytes, kvBytesPerToken, ...summary } = await engine.inspect(path);
  expect(held(engine)).toEqual(before);
  {
    using model = await engine.loadModel(path);
    const { rentedBytes } = held(engine);
    expect(loadBytes).toBe(rentedBytes - before.rentedBytes);
    const { loadMs, panelBytes, mappedBytes, kvType, kvBytesPerToken: perToken, ...info } = model.info;
    expect(loadMs).toBeGreaterThan(0);
    expect(panelBytes).toBeLessThanOrEqual(info.weightBytes);
    expect(mappedBytes).toBe(0);
    expect(summary).toEqual(info);
    expect(kvBytesPerToken[kvType ?? 'f32']).toBe(perToken);
    const { kind, vocabularySize, bosId, eosId, addsBos, addsEos } = model.tokenizer;
    expect(tokenizer).toEqual({ kind, vocabularySize, bosId, eosId, addsBos, addsEos });
  }
  expect(held(engine).rentedBytes).toBe(before.rentedBytes);
}

describe('what loading then takes', () => {
  test.each([...decoders, ...encoders].map(({ name }) => name))('%s', async (architecture) => {
    await expectTrue(await write({ architecture }));
    await expectTrue(await write({ architecture, type: 'F16', optional: () => true }));
  });

  test.each([...Object.keys(quantizedTypes), 'BF16'] as WeightType[])('%s', async (type) => {
    await expectTrue(await write({ architecture: 'llama', dim: 256, ffn: 512, type }));
    await expectTrue(await write({ architecture: 'bert', dim: 256, ffn: 512, type }));
    await expectTrue(await write({ architecture: 'phi3', dim: 256, ffn: 768, type }));
  });

  test('a file of several types', async () => {
    const type = (name: string): WeightType => (name.includes('ffn') ? 'Q4_K' : name.includes('attn') ? 'Q8_0' : 'F16');
    await expectTrue(await write({ architecture: 'qwen3', dim: 256, ffn: 512, type }));
    await expectTrue(bundledModelPath);
  });

  test.each(pairs)('a Hugging Face folder: %s', async (what, pair) => {
    const tensors = await translated(await write(pair.model), pair);
    for (const pad of [0, 1]) {
      const home = folder.file(`${what.replaceAll(/\W+/g, '-')}-${pad}`);
      const files = new Map([['model.safetensors', safetensorsBytes(tensors, pad)]]);
      writeFolder(home, { config: pair.config, files });
      await expectTrue(home);
    }
  });
});

test('bytes of a token for each type of keys and values', async () => {
  const engine = await engines({ threads: 2 });
  const wide = await write({ architecture: 'llama', dim: 256, heads: 4, kvHeads: 2 });
  const { kvBytesPerToken } = await engine.inspect(wide);
  for (const kvType of Object.keys(keyValueTypes) as (keyof typeof keyValueTypes)[]) {
    using model = await engine.loadModel(wide, { kvType });
    expect(kvBytesPerToken[kvType]).toBe(model.info.kvBytesPerToken);
  }
  const narrow = await engine.inspect(await write({ architecture: 'llama', dim: 32, heads: 4 }));
  expect(narrow.kvBytesPerToken).toEqual({ f32: expect.any(Number), f16: expect.any(Number), q8_0: undefined });
  const encoder = await engine.inspect(await write({ architecture: 'bert' }));
  expect(encoder.kvBytesPerToken).toEqual({ f32: 0, f16: 0, q8_0: 0 });
});

test('a budget that is too small for the model does not matter', async () => {
  const engine = await engines({ threads: 1, memoryBudget: 8 << 20 });
  const path = await write({ architecture: 'llama', dim: 1024, ffn: 2048, type: 'Q8_0' });
  const { loadBytes } = await engine.inspect(path);
  expect(loadBytes).toBeGreaterThan(8 << 20);
  await expectRejection(engine.loadModel(path), 'ERR_BUDGET', /need/);
});

test('is refused for wrong options, and ends with its signal', async () => {
  const engine = await engines({ threads: 2 });
  const path = await write({ architecture: 'llama' });
  await expectRejection(engine.inspect(path, { kvType: 'f16' } as object), 'ERR_ARGUMENT', /no option kvType/);
  await expectRejection(engine.inspect(path, { signal: 1 } as object), 'ERR_ARGUMENT', /AbortSignal/);
  const reason = new Error('enough');
  await expectAbort(engine.inspect(path, { signal: AbortSignal.abort(reason) }), reason);
});

test.each([
  [[], false],
  [['tokenizer.chat_template'], true],
  [['tokenizer.chat_template.tool_use'], false],
])('with the templates %j, a model says whether it has a default one', async (keys, has) => {
  const engine = await engines({ threads: 1 });
  const metadata = Object.fromEntries(keys.map((key) => [key, { type: 'string' as const, value: 'a' }]));
  using model = await engine.loadModel(await write({ architecture: 'llama', metadata }));
  expect(model.info.hasChatTemplate).toBe(has);
});
