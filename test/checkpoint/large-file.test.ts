// A model file of more than 4 GB: float matrices, quantized ones and vectors have offsets of more than 32 bits, and
// give the same bits as in a small file. The file is sparse: it takes no more space on the disk than the small one.
import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { openGguf } from '../../src/checkpoint/gguf/gguf-file.js';
import { modelPaths, someIds } from '../support/models/model-files.js';
import { firstBitDifference } from '../support/numbers.js';
import { sharedEngines } from '../support/running/engines.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const engines = sharedEngines();
const write = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());

/** Copies the file, with some tensors moved to large offsets. */
async function spread(path: string, target: string, isMoved: (name: string) => boolean, by: number): Promise<void> {
  const bytes = readFileSync(path);
  const file = openSync(target, 'w');
  await using source = await openGguf(path);
  const header = Buffer.from(bytes.subarray(0, source.dataOffset));
  for (const { name, shape, offset, sizeBytes } of source.tensors.values()) {
    const moved = isMoved(name) ? offset + by : offset;
    const place = header.indexOf(name) + name.length + 4 + 8 * shape.length + 4;
    expect(header.readBigUInt64LE(place)).toBe(BigInt(offset));
    header.writeBigUInt64LE(BigInt(moved), place);
    const start = source.dataOffset + offset;
    writeSync(file, bytes, start, sizeBytes, source.dataOffset + moved);
  }
  writeSync(file, header, 0, header.length, 0);
  closeSync(file);
}

test('a file of 6 GB with tensors on both sides of 4 GB', async () => {
  const engine = await engines({ threads: 2 });
  const path = await write({
    architecture: 'llama',
    dim: 64,
    kvHeads: 2,
    type: (name) => (name.includes('ffn') ? 'Q8_0' : 'F16'),
  });
  const large = folder.file('large.gguf');
  await spread(path, large, (name) => /attn_norm|attn_q|ffn_down|output_norm/.test(name), 6 * 2 ** 30);
  const { size, blocks } = statSync(large);
  expect(size).toBeGreaterThan(6 * 2 ** 30);
  expect(512 * blocks).toBeLessThan(2 ** 24);
  const ids = someIds(20, 300);
  using expected = await engine.loadModel(path);
  using actual = await engine.loadModel(large);
  expect(firstBitDifference(await actual.logits(ids), await expected.logits(ids))).toBeUndefined();
  expect(engine.stats().pool.rentedBytes).toBeLessThan(2 ** 24);
});
