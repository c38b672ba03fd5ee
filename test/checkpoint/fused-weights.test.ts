// Tensors whose rows are several weights, such as gate and up of phi3: each weight is loaded by itself, from any kind of file,
// with the bits of the whole. What the file has is reported, quantized and refused as before.
import { afterAll, describe, expect, test } from 'vitest';
import { architectureOf } from '../../src/architectures/registry.js';
import type { CheckpointTensor } from '../../src/checkpoint/checkpoint.js';
import { openGguf } from '../../src/checkpoint/gguf/gguf-file.js';
import { openCheckpoint } from '../../src/checkpoint/open-checkpoint.js';
import { type PlacedTensor, placedTensors } from '../../src/checkpoint/placed-tensors.js';
import { quantizedTypes } from '../../src/ops/quantized/quantized-type.js';
import { modelPaths, someIds } from '../support/models/model-files.js';
import type { LlamaContent } from '../support/models/random-llama.js';
import { type RandomModel, randomMetadata } from '../support/models/random-model.js';
import type { WeightType } from '../support/models/random-weights.js';
import { firstBitDifference } from '../support/numbers.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const engines = sharedEngines();
const write = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());

/** Gate and up do not end where panels of 16 columns do, and each has more than one strip of 8 rows. */
const phi3 = { architecture: 'phi3', layers: 2, dim: 256, ffn: 264, kvHeads: 2 } as const;
const fusedName = 'blk.1.ffn_up.weight';
/** Rows of the last matrix would not be whole blocks. */
const mostly = (type: WeightType) => (name: string) => (name.includes('ffn_down') ? 'F32' : type);
const types: WeightType[] = ['F32', 'F16', 'BF16', ...(Object.keys(quantizedTypes) as WeightType[])];

function specsOf(model: RandomModel) {
  const metadata = randomMetadata(model);
  const architecture = architectureOf(metadata);
  return architecture.weights(architecture.readConfig(metadata));
}

async function placedOf(path: string, model: RandomModel): Promise<PlacedTensor[]> {
  await using checkpoint = await openCheckpoint(path, {});
  return placedTensors(checkpoint, specsOf(model));
}

test.each(types)('%s: gate and up are the two halves of the bytes of the tensor', async (type) => {
  const path = await write({ ...phi3, type: mostly(type) });
  await using file = await openGguf(path);
  const whole = file.tensors.get(fusedName) as { sizeBytes: number; offset: number };
  const placed = await placedOf(path, phi3);
  expect(placed).toHaveLength(file.tensors.size + phi3.layers);
  const [gate, up] = placed.filter(({ tensor }) => tensor.name === fusedName);
  const start = file.dataOffset + whole.offset;
  expect(gate).toMatchObject({
    spec: { name: 'blk.1.ffn_gate.weight' },
    tensor: { type, shape: [264, 256], position: start, sizeBytes: whole.sizeBytes / 2 },
  });
  expect(up).toMatchObject({
    spec: { name: fusedName },
    tensor: { type, shape: [264, 256], position: start + whole.sizeBytes / 2, sizeBytes: whole.sizeBytes / 2 },
  });
});

test.each(types)('%s: a file with gate and up in two tensors gives the same bits', async (type) => {
  const engine = await engines({ threads: 2 });
  const ids = someIds(9, 300);
  const jina = { architecture: 'jina-bert-v2', dim: 256, ffn: 264, type: mostly(type) };
  const fused = await write({ ...jina, otherShapes: () => true });
  const separate = await write({ ...jina, otherShapes: () => true }, splitGateAndUp);
  using expected = await engine.loadModel(fused);
  using actual = await engine.loadModel(separate);
  expect(actual.info).toMatchObject({ parameters: expected.info.parameters, weightBytes: expected.info.weightBytes });
  const [[ours], [wanted]] = [await actual.embed([ids]), await expected.embed([ids])];
  expect(firstBitDifference(ours as Float32Array, wanted as Float32Array)).toBeUndefined();
});

/** Writes the rows of gate and of up as tensors of their own. */
function splitGateAndUp({ tensors }: LlamaContent): void {
  for (const { name, type, shape, data } of tensors.splice(0)) {
    if (!name.endsWith('ffn_up.weight')) {
      tensors.push({ name, type, shape, data });
      continue;
    }
    const [rows, columns] = shape as [number, number];
    const half = [rows / 2, columns];
    const chunks = [...(data as Iterable<ArrayBufferView>)];
    const bytes = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)));
    const [gate, up] = [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)];
    tensors.push({ name: name.replace('up', 'gate'), type, shape: half, data: gate });
    tensors.push({ name, type, shape: half, data: up });
  }
}

test('reports and progress are those of the file', async () => {
  const engine = await engines({ threads: 2 });
  const path = await write({ ...phi3, type: mostly('Q8_0') });
  const seen: { loadedBytes: number; totalBytes: number }[] = [];
  using model = await engine.loadModel(path, { onProgress: (progress) => seen.push(progress) });
  await using file = await openGguf(path);
  const infos = [...file.tensors.values()];
  expect(model.info.tensorTypes).toEqual({ Q8_0: 1 + 2 * 3, F32: 2 * 3 + 1 });
  const elements = infos.map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  expect(model.info.parameters).toBe(elements.reduce((sum, count) => sum + count, 0));
  const totalBytes = infos.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  expect(seen.at(-1)).toEqual({ loadedBytes: totalBytes, totalBytes });
});

test('quantizing writes the tensors of the file', async () => {
  const engine = await engines({ threads: 2 });
  const from = await write({ ...phi3, type: 'F32' });
  const to = folder.file('quantized.gguf');
  await engine.quantizeModel(from, to, { type: 'q8_0' });
  await using before = await openGguf(from);
  await using after = await openGguf(to);
  expect([...after.tensors.keys()]).toEqual([...before.tensors.keys()]);
  expect(after.tensors.get(fusedName)).toMatchObject({ type: 'Q8_0', shape: [2 * 264, 256] });
  using model = await engine.loadModel(to);
  expect((await model.logits(someIds(5, 300))).every(Number.isFinite)).toBe(true);
});

test.each(['F16', 'Q4_K'] as const)('%s: a stored image has the bits of the file', async (type) => {
  const engine = await engines({ threads: 2 });
  const path = await write({ ...phi3, type: mostly(type) });
  const ids = someIds(9, 300);
  using plain = await engine.loadModel(path);
  const expected = await plain.logits(ids);
  for (const load of ['stored', 'found']) {
    using model = await engine.loadModel(path, { cache: folder.file(`images-${type}`) });
    expect(model.info.mappedBytes / model.info.weightBytes, load).toBeGreaterThan(0.5);
    expect(firstBitDifference(await model.logits(ids), expected), load).toBeUndefined();
  }
});

describe('refused', () => {
  const add =
    (name: string, shape: number[]) =>
    (content: LlamaContent): void => {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      content.tensors.push({ name, type: 'F32', shape, data });
    };
  const replace =
    (name: string, shape: number[]) =>
    (content: LlamaContent): void => {
      content.tensors.splice(
        content.tensors.findIndex((tensor) => tensor.name === name),
        1,
      );
      add(name, shape)(content);
    };

  test.each([
    [
      'one half alone',
      replace(fusedName, [264, 256]),
      'ERR_MODEL_FILE',
      /"blk\.1\.ffn_up\.weight" is \[264, 256\], the metadata asks for \[528, 256\]/,
    ],
    [
      'none',
      ({ tensors }: LlamaContent): void => void tensors.pop(),
      'ERR_MODEL_FILE',
      /"blk\.1\.ffn_up\.weight" is missing/,
    ],
    [
      'a tensor with the name of a half',
      add('blk.1.ffn_gate.weight', [264, 256]),
      'ERR_UNSUPPORTED',
      /no tensor "blk\.1\.ffn_gate\.weight"/,
    ],
  ] as const)('of phi3: %s', async (what, change, code, message) => {
    const engine = await engines({ threads: 2 });
    const last = replace(fusedName, [528, 256]);
    const path = await write(phi3, (content) => {
      if (what === 'none') last(content);
      change(content);
    });
    await expectRejection(engine.loadModel(path), code, message);
    await expectRejection(engine.inspect(path), code, message);
  });

  test.each([
    [
      'both the half and the whole',
      (name: string) => name.includes('ffn_gate'),
      true,
      /both "blk\.0\.ffn_gate\.weight" and "blk\.0\.ffn_up\.weight" contain "blk\.0\.ffn_gate\.weight"/,
    ],
    [
      'a bias of one half',
      (name: string) => name.includes('ffn_up.bias'),
      true,
      /"blk\.0\.ffn_up\.bias" has 264 elements, its matrix has 528 rows/,
    ],
  ] as const)('of jina-bert-v2: %s', async (_what, optional, isFused, message) => {
    const engine = await engines({ threads: 2 });
    const otherShapes = () => isFused;
    const path = await write({ architecture: 'jina-bert-v2', dim: 256, ffn: 264, optional, otherShapes });
    const { rentedBytes } = engine.stats().pool;
    await expectRejection(engine.loadModel(path), 'ERR_MODEL_FILE', message);
    expect(engine.stats().pool.rentedBytes).toBe(rentedBytes);
  });

  test('a transposed tensor, whose rows do not follow each other: no architecture may ask for it', async () => {
    await using checkpoint = await openCheckpoint(await write(phi3), {});
    const tensors = new Map<string, CheckpointTensor>(checkpoint.tensors);
    tensors.set(fusedName, { ...(tensors.get(fusedName) as CheckpointTensor), transposed: true });
    expect(() => placedTensors({ ...checkpoint, tensors }, specsOf(phi3))).toThrow(/is transposed/);
  });
});
