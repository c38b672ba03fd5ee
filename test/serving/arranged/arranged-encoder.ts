// The server of an encoder whose groups are ended by the test. Used by served-encoder.test.ts and
// served-encoder-memory.test.ts.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import { type EncoderParts, EncoderPrograms } from '../../../src/forward/encoder/encoder-programs.js';
import type { ModelRecorder } from '../../../src/metrics/model-recorder.js';
import type { EmbeddingJob } from '../../../src/serving/jobs.js';
import { ServedEncoder } from '../../../src/serving/served-encoder.js';
import { Turns } from '../../../src/serving/steps/turns.js';

export const dim = 4;
const pooling = { pooling: 'first', normalize: false, dimensions: dim } as const;

export interface Group {
  /** The first id of each text. */
  readonly names: readonly number[];
  readonly signal: AbortSignal;
  readonly programs: EncoderPrograms;
  end(): Promise<void>;
  fail(error: unknown): Promise<void>;
}

export const groups: Group[] = [];
export const isError = (code: string) => expect.objectContaining({ code });
export const budget = new TesseraeError('ERR_BUDGET', 'no memory');

/** All that is due has happened. */
export const settled = async () => {
  for (let turn = 0; turn < 3; turn++) await nextTurn();
};

/** Has groups end by hand, and the time go on by hand, in the tests of a file. */
export function arrangeGroups(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const running = new Set<EncoderPrograms>();
    const { prototype } = EncoderPrograms;
    vi.spyOn(prototype, 'isRunning', 'get').mockImplementation(function (this: EncoderPrograms) {
      return running.has(this);
    });
    vi.spyOn(prototype, 'compute').mockImplementation(function (this: EncoderPrograms, texts, signal) {
      running.add(this);
      return new Promise((resolve, reject) => {
        const over = async (settle: () => void) => {
          running.delete(this);
          settle();
          await settled();
        };
        groups.push({
          names: texts.map(({ ids }) => ids[0] as number),
          signal: signal as AbortSignal,
          programs: this,
          end: () => over(() => resolve(texts.map(({ ids }) => Float32Array.of(ids[0] as number)))),
          fail: (error) => over(() => reject(error)),
        });
      });
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
    groups.length = 0;
  });
}

export function arranged(maxQueued = 100) {
  const log: unknown[] = [];
  const shortages = new Map<string, () => boolean>();
  const tensor = (name: string) => [name, { dispose: () => log.push(`${name} disposed`) }] as const;
  const pool = {
    onShortage: (kind: string, free: () => boolean) => {
      shortages.set(kind, free);
      return () => log.push('unregistered');
    },
  };
  const parts = {
    config: { architecture: 'bert', dim },
    compute: { pool },
    weights: new Map([tensor('weight')]),
    constants: new Map([tensor('constant')]),
  } as unknown as EncoderParts;
  const turns = new Turns();
  const other = turns.open();
  const recorder = {
    request: (observed: object, askedAt: number) => {
      log.push(['request', observed, askedAt]);
      return {
        queued: () => log.push('queued'),
        begun: (cached: number) => log.push(['begun', cached]),
        end: ({ error }: { error?: unknown }) => log.push(['end', error]),
      };
    },
    step: (tokens: number, ms: number) => log.push(['step', tokens, ms]),
  } as unknown as ModelRecorder;
  const served = new ServedEncoder(parts, { maxQueued, stepMs: 40, prefixCache: true }, { turns, recorder });
  const outcomes: unknown[] = [];
  /** A text of so many tokens, of which the first is its name. Its outcome is noted. */
  const embed = (name: number, tokens: number, more: Partial<EmbeddingJob> = {}) => {
    const ids = Array.from({ length: tokens }, () => name);
    const turn = { priority: 0, tenant: '', deadlineAt: undefined };
    void served.embed({ ids, pooling, turn, askedAt: 5, signal: undefined, ...more }).then(
      (vector) => outcomes.push([name, ...vector]),
      (error: unknown) => outcomes.push([name, error]),
    );
  };
  const taken = () => outcomes.splice(0);
  const logged = () => log.splice(0);
  return { served, embed, taken, logged, turns, other, shortages };
}

export const names = () => groups.map((group) => group.names.toSorted());
export const deadlineAt = (at: number) => ({ turn: { priority: 0, tenant: '', deadlineAt: at } });
