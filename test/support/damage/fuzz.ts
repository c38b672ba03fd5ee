// Runs a fuzzer of model files: each mutant opens or is refused with a typed error of one short line, without asking for
// more memory at once than twice its size. Of those that open, tensors lie within their files, text becomes tokens and
// back, and some are loaded and computed; nothing of them is left. Goes further than usual, and elsewhere, with
// FUZZ_TIMES=10 FUZZ_SEED=8 in the environment.
import { expect } from 'vitest';
import { architectureOf } from '../../../src/architectures/registry.js';
import { TesseraeError } from '../../../src/base/errors.js';
import { openCheckpoint } from '../../../src/checkpoint/open-checkpoint.js';
import type { Engine } from '../../../src/engine.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { AllocationWatch } from '../running/allocations.js';
import { type Pick, picker } from './mutations.js';

const times = Number(process.env.FUZZ_TIMES ?? 1);
const seed = Number(process.env.FUZZ_SEED ?? 7);

/** For a test of as many mutants as usual. */
export const fuzzTimeout = 300_000 * times;

/** Of those that open, one in so many is loaded. */
const openedPerLoad = 8;
const longestMessage = 1000;
const sample = 'the band and 漢é\n <user> the';

export interface Fuzzing {
  readonly engine: Engine;
  /** As many as usual. */
  readonly mutants: number;
  /** A model that loads. */
  readonly sound: string;
  /** Where the mutants are. */
  readonly path: string;
  /** Writes the next mutant. @returns its size in bytes, of all its files */
  readonly write: (pick: Pick) => number;
}

export async function expectOpenedOrRefused({ engine, mutants, sound, path, write }: Fuzzing): Promise<void> {
  // What is made once for all files is there before anything counts.
  encode(await open(sound));
  await load(engine, sound);
  const pick = picker(seed);
  const rented = engine.stats().pool.rentedBytes;
  const before = process.memoryUsage();
  const watch = new AllocationWatch();
  let refused = 0;
  let opened = 0;
  try {
    for (let index = 0; index < mutants * times; index++) {
      const sizeBytes = write(pick);
      watch.reset();
      const error = await outcome(async () => {
        const tokenizer = await open(path).finally(() => {
          if (watch.largest <= 2 * sizeBytes) return;
          expect.fail(`mutant ${index} of ${sizeBytes} bytes: ${watch.largest} bytes at once`);
        });
        encode(tokenizer);
        if (opened++ % openedPerLoad === 0) await load(engine, path);
      });
      if (error === undefined) continue;
      refused++;
      if (!(error instanceof TesseraeError) || error.message.includes('\n') || error.message.length > longestMessage) {
        expect.fail(`mutant ${index}: ${error instanceof Error ? error.stack : String(error)}`);
      }
    }
  } finally {
    watch.end();
  }
  expect(refused).toBeGreaterThan(mutants / 10);
  expect(opened).toBeGreaterThan(mutants / 100);
  expect(engine.stats().pool.rentedBytes).toBe(rented);
  expect(process.memoryUsage().rss - before.rss).toBeLessThan(256 << 20);
}

/** Opens a model as a load does, up to where the weights are read. */
async function open(path: string): Promise<Tokenizer> {
  await using checkpoint = await openCheckpoint(path);
  for (const { file, position, sizeBytes } of checkpoint.tensors.values()) {
    expect(position + sizeBytes).toBeLessThanOrEqual(file.sizeBytes);
  }
  const architecture = architectureOf(checkpoint.metadata);
  const config = architecture.readConfig(checkpoint.metadata);
  if (config.layers <= checkpoint.tensors.size) architecture.weights(config);
  return await checkpoint.createTokenizer();
}

function encode(tokenizer: Tokenizer): void {
  tokenizer.decode(tokenizer.encode(sample));
}

async function outcome(work: () => Promise<void>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Loads what opened, and computes with it. */
async function load(engine: Engine, path: string): Promise<void> {
  using model = await engine.loadModel(path);
  const ids = [0, 1, 2].map((id) => id % model.info.vocabulary);
  await model.embed([ids]);
  if (model.info.kvType !== undefined) await model.logits(ids);
}
