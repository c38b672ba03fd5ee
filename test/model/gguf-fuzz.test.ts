// A mutation fuzzer over whole GGUF models: header, metadata, tensor list, tokenizer and the architecture's checks. Each
// mutant opens or is refused with a typed error of one line, and memory stays in proportion. Seeded: failures repeat.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { TesseraeError } from '../../src/errors.js';
import { architectureOf } from '../../src/model/architectures/index.js';
import { openSource } from '../../src/model/source.js';
import { temporaryFolder } from '../support/gguf-bytes.js';
import { modelFiles, tiny } from '../support/model-files.js';
import { randomSource } from '../support/random-weights.js';

const write = modelFiles();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const mutants = 100_000;
const lengths = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xffff, 0x7fffffff, 0xffffffff];

/** Damages a copy: bits, bytes, length fields, truncation, and pieces moved from elsewhere. */
function mutate(whole: Buffer, headerBytes: number, pick: (below: number) => number): Buffer {
  const bytes = Buffer.from(whole);
  for (let change = 1 + pick(3); change > 0; change--) {
    const at = pick(headerBytes - 16);
    const kind = pick(6);
    if (kind === 0) bytes[at] = (bytes[at] as number) ^ (1 << pick(8));
    if (kind === 1) bytes[at] = pick(256);
    if (kind === 2) bytes.writeUInt32LE(lengths[pick(lengths.length)] as number, at);
    if (kind === 3) bytes.writeBigUInt64LE(BigInt(pick(2 ** 16)) << BigInt(pick(48)), at);
    if (kind === 4) bytes.copyWithin(at, pick(headerBytes), headerBytes);
    if (kind === 5 && pick(4) === 0) return bytes.subarray(0, pick(bytes.length));
  }
  return bytes;
}

async function open(path: string): Promise<void> {
  await using source = await openSource(path);
  const architecture = architectureOf(source.metadata);
  const config = architecture.readConfig(source.metadata);
  if (config.layers <= source.tensors.size) architecture.weights(config);
  await source.createTokenizer();
}

test(`${mutants} damaged models open or are refused`, { timeout: 300_000 }, async () => {
  const whole = readFileSync(await write({ ...tiny, layers: 1, dim: 8, heads: 2, kvHeads: 1, ffn: 8, vocab: 280 }));
  const headerBytes = whole.indexOf('output_norm.weight') + 64;
  const random = randomSource(7);
  const pick = (below: number) => Math.floor((random() + 1) * 0.5 * below);
  const path = folder.file('mutant.gguf');
  const before = process.memoryUsage();
  let refused = 0;
  for (let index = 0; index < mutants; index++) {
    writeFileSync(path, mutate(whole, headerBytes, pick));
    const error: unknown = await open(path).catch((caught: unknown) => caught);
    if (error === undefined) continue;
    refused++;
    if (!(error instanceof TesseraeError) || error.message.includes('\n')) {
      expect.fail(`mutant ${index}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  expect(refused).toBeGreaterThan(mutants / 10);
  expect(refused).toBeLessThan(mutants);
  expect(process.memoryUsage().rss - before.rss).toBeLessThan(256 << 20);
});
