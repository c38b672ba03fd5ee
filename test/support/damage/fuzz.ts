// Runs a fuzzer of model files. Each mutant opens, or is refused with a typed error of one short line, without
// allocating more than twice its size at once. If it opens, its tensors are inside its files and its tokenizer works;
// some are loaded and computed, and leave nothing behind. FUZZ_TIMES=10 FUZZ_SEED=8 in the environment runs more
// mutants, and others; FUZZ_TIMES=0.1 a tenth of them.
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

/** The timeout of a test, in milliseconds. */
export const fuzzTimeout = 300_000 * Math.max(1, times);

/** One in so many of the mutants that open is loaded. */
const openedPerLoad = 8;
const longestMessage = 1000;
const sample = 'the band and 漢é\n <user> the';

export interface Fuzzing {
  readonly engine: Engine;
  /** How many, at FUZZ_TIMES=1. */
  readonly mutants: number;
  /** The path of a valid model. */
  readonly sound: string;
  /** The path of the mutants. */
  readonly path: string;
  /** Writes the next mutant. @returns its size in bytes, of all its files */
  readonly write: (pick: Pick) => number;
}

export async function expectOpenedOrRefused({ engine, mutants, sound, path, write }: Fuzzing): Promise<void> {
  // Caches that are filled once for all files are filled before memory is measured.
  encode(await open(sound));
  await load(engine, sound);
  const pick = picker(seed);
  const rented = engine.stats().pool.rentedBytes;
  const before = residentBytes();
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
  expect(refused).toBeGreaterThan((mutants * times) / 10);
  expect(opened).toBeGreaterThan((mutants * times) / 100);
  expect(engine.stats().pool.rentedBytes).toBe(rented);
  expect(residentBytes() - before).toBeLessThan(256 << 20);
}

/** The memory of the process, after garbage is collected: how much lies about depends on the machine's load. */
function residentBytes(): number {
  gc?.();
  gc?.();
  return process.memoryUsage().rss;
}

/** Opens a model as loading does, up to the reading of the weights. */
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

/** Loads a model and computes with it. */
async function load(engine: Engine, path: string): Promise<void> {
  using model = await engine.loadModel(path);
  const ids = [0, 1, 2].map((id) => id % model.info.vocabulary);
  await model.embed([ids]);
  if (model.info.kvType !== undefined) await model.logits(ids);
}
