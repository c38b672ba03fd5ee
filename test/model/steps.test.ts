// How many steps a token takes: at the end of each, all workers wait for the last of them.
import { afterAll, expect, test } from 'vitest';
import { bundledModelF32Path, bundledModelPath } from '../support/models/bundled-model.js';
import { modelPaths } from '../support/models/model-files.js';
import { sharedEngines } from '../support/running/engines.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const engineOf = sharedEngines();
const write = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());

/** The kernels of the step in which a decoder computes one token after others. */
async function kernelsOfToken(path: string): Promise<string[]> {
  const engine = await engineOf({ threads: 2 });
  using model = await engine.loadModel(path);
  using session = model.session();
  await session.append([1, 2, 3]);
  return (await session.profile([4], {})).steps.map(({ kernel }) => kernel);
}

/** Steps of a layer: those from one attention to the next one. */
function layerOf(kernels: readonly string[]): readonly string[] {
  const first = kernels.indexOf('paged_attention');
  return kernels.slice(first, kernels.indexOf('paged_attention', first + 1));
}

test('a layer of a quantized llama that decodes has five steps', async () => {
  const path = folder.file('q8_0.gguf');
  await (await engineOf({ threads: 2 })).quantizeModel(bundledModelF32Path, path, { type: 'q8_0' });
  // Attention; its output; gate and up; down; then queries, keys and values of the next layer.
  expect(layerOf(await kernelsOfToken(path))).toEqual(['paged_attention', ...new Array(4).fill('matmul_quantized')]);
});

test('a layer of a llama in F16 that decodes has the same steps, of which the last is three products at once', async () => {
  const products = ['matmul', 'matmul', 'matmul'];
  expect(layerOf(await kernelsOfToken(bundledModelPath))).toEqual(['paged_attention', ...products, ...products]);
});

test.each([
  { type: 'Q8_0', product: 'matmul_quantized' },
  { type: 'F16', product: 'matmul' },
] as const)(
  'a layer of phi3 in $type has gate and up in one matrix, and still five steps',
  async ({ type, product }) => {
    const path = await write({ architecture: 'phi3', layers: 3, dim: 256, ffn: 512, kvHeads: 2, type });
    expect(layerOf(await kernelsOfToken(path))).toEqual(['paged_attention', ...new Array(4).fill(product)]);
  },
);

test('attention normalises the heads of a qwen3 that decodes: a layer has the steps of a llama', async () => {
  const path = await write({ architecture: 'qwen3', dim: 64, heads: 2, kvHeads: 1, type: 'Q8_0' });
  expect(layerOf(await kernelsOfToken(path))).toEqual(['paged_attention', ...new Array(4).fill('matmul_quantized')]);
});

test('attention normalises the heads of a gemma3 that decodes: its other norms are as those of a gemma2', async () => {
  const layers: (readonly string[])[] = [];
  for (const architecture of ['gemma2', 'gemma3']) {
    const path = await write({ architecture, dim: 64, heads: 2, kvHeads: 1, type: 'Q8_0' });
    layers.push(layerOf(await kernelsOfToken(path)));
  }
  const [gemma2, gemma3] = layers;
  expect(gemma3).toEqual(gemma2);
  // After the two halves of a layer.
  expect(gemma3?.filter((kernel) => kernel === 'rms_norm')).toHaveLength(2);
});

test.each([
  { type: 'Q8_0', product: 'matmul_quantized' },
  { type: 'BF16', product: 'matmul' },
] as const)(
  'the gated unit of gemma in $type, with GELU, is part of the step of gate and up',
  async ({ type, product }) => {
    const path = await write({ architecture: 'gemma3', layers: 3, dim: 256, ffn: 512, kvHeads: 2, type });
    const kernels = layerOf(await kernelsOfToken(path));
    // The output of attention, which is normed and added; gate and up; down, which is normed and added.
    expect(kernels.slice(1, 8)).toEqual([product, 'rms_norm', 'add', product, product, 'rms_norm', 'add']);
  },
);
