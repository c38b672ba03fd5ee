// The server of a decoder whose steps are ended by the test. Each row that asks for a token gets 7, each text the vector [5]. Used by served-decoder.test.ts.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { DecoderParts } from '../../../src/forward/decoder-programs.js';
import { StepPrograms } from '../../../src/forward/step-programs.js';
import type { EmbeddingJob, GenerationJob } from '../../../src/serving/jobs.js';
import { ServedDecoder } from '../../../src/serving/served-decoder.js';
import { PooledPages } from '../../../src/serving/steps/pooled-pages.js';
import { StepLoop } from '../../../src/serving/steps/step-loop.js';
import { Turns } from '../../../src/serving/steps/turns.js';

export interface Step {
  readonly rows: number;
  end(): Promise<void>;
  fail(error: unknown): Promise<void>;
}

export const steps: Step[] = [];
export const isError = (code: string) => expect.objectContaining({ code });

/** All that is due has happened. */
export const settled = async () => {
  for (let turn = 0; turn < 5; turn++) await nextTurn();
};

/** Has steps end by hand in the tests of a file. */
export function arrangeSteps(): void {
  beforeEach(() => {
    const { prototype } = StepPrograms;
    vi.spyOn(prototype, 'run').mockImplementation((_slices, rows, _picked, _signal, meanwhile) => {
      return new Promise((resolve, reject) => {
        meanwhile();
        const over = async (settle: () => void) => {
          settle();
          await settled();
        };
        steps.push({ rows, end: () => over(resolve), fail: (error) => over(() => reject(error)) });
      });
    });
    vi.spyOn(prototype, 'sample').mockImplementation(async (picked, visit) => {
      for (const { slice } of picked) visit(slice, () => ({ id: 7, logprobs: undefined }));
    });
    vi.spyOn(prototype, 'pool').mockImplementation(async (texts, visit) => {
      for (const { slice } of texts) visit(slice, Float32Array.of(5));
    });
    vi.spyOn(prototype, 'computeMs', 'get').mockReturnValue(6);
    vi.spyOn(prototype, 'declinedTokens', 'get').mockReturnValue(2);
    vi.spyOn(prototype, 'dispose').mockImplementation(() => {});
    vi.spyOn(PooledPages.prototype, 'most', 'get').mockReturnValue(100);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    steps.length = 0;
  });
}

export function arranged({ maxQueued = 100, prefixCache = true } = {}) {
  const log: unknown[] = [];
  const shortages: (readonly [kind: string, free: () => boolean | undefined])[] = [];
  const pool = {
    budgetBytes: 10_000,
    freeBytes: 10_000,
    onShortage: (kind: string, free: () => boolean) => {
      shortages.push([kind, free]);
      return () => log.push(`${kind} unregistered`);
    },
    empty: () => ({ address: 64, dispose: () => log.push('page disposed') }),
  };
  const layout = { type: 'f32', pageBytes: 100, vDim: 4 };
  let numbers = 0;
  const parts = {
    config: { dim: 4, vocabulary: 100, heads: 1, kvHeads: 1, headDim: 4 },
    capacity: 1000,
    compute: {
      threads: 1,
      pool,
      call: async () => {},
      giveBackPrivate: (tensor: unknown) => log.push(['given back', tensor]),
    },
    directory: { tensor: 'directory', capacity: 1000, add: () => numbers++, remove: () => {} },
    programs: { dropIdle: () => log.push('idle dropped') > 0, dispose: () => log.push('programs disposed') },
    weights: new Map([['weight', { dispose: () => log.push('weight disposed') }]]),
    constants: new Map([['constant', { dispose: () => log.push('constant disposed') }]]),
    pageLayout: layout,
  } as unknown as DecoderParts;
  const turns = new Turns();
  const recorder = {
    request: (observed: object, askedAt: number) => {
      log.push(['request', observed, askedAt]);
      return {
        askedAt,
        queued: () => log.push('queued'),
        begun: () => {},
        preempted: () => log.push('preempted'),
        token: () => {},
        end: () => {},
      };
    },
    step: () => {},
  };
  const shared = { turns, recorder } as never;
  const served = new ServedDecoder(parts, { maxQueued, stepMs: 40, prefixCache }, shared);
  const submitted = vi.spyOn(StepLoop.prototype, 'submit');
  const outcomes: unknown[] = [];
  const attached: { cancel(error: unknown): void; park(): void; resume(): void }[] = [];
  /** Asks for so many tokens after a prompt; the outcome is noted by its name. */
  const generate = (
    name: string,
    promptIds: number[],
    tokens: number,
    more: Partial<GenerationJob> & { signal?: AbortSignal } = {},
  ) => {
    const request = {
      signal: more.signal,
      promptIds,
      tokens: [] as number[],
      chosen: -1,
      ending: undefined as string | undefined,
      sampling: {},
      rowOptions: {},
      choose: (id: number) => {
        request.chosen = id;
      },
      accept: () => {
        if (request.tokens.push(request.chosen) === tokens) request.ending = 'maxTokens';
      },
      piece: () => undefined,
      prepare: () => undefined,
      result: (timings: { loadMs: number }) => [name, [...request.tokens], timings.loadMs],
    };
    const stream = {
      attach: (controls: (typeof attached)[number]) => attached.push(controls),
      push: () => {},
      finish: (result: unknown) => outcomes.push(result),
      fail: (error: unknown) => outcomes.push([name, error]),
    };
    const turn = { priority: 3, tenant: 't', deadlineAt: undefined };
    const job = { request, stream, turn, isChat: false, loadMs: 9, askedAt: 5, ...more } as unknown as GenerationJob;
    const asked = served.generate(job);
    asked.catch((error: unknown) => outcomes.push([name, error]));
    return asked;
  };
  const embed = (name: string, ids: number[], more: Partial<EmbeddingJob> = {}) => {
    const pooling = { pooling: 'mean', normalize: false, dimensions: 4 } as const;
    const turn = { priority: 3, tenant: 't', deadlineAt: undefined };
    void served.embed({ ids, pooling, turn, askedAt: 5, signal: undefined, ...more }).then(
      (vector) => outcomes.push([name, ...vector]),
      (error: unknown) => outcomes.push([name, error]),
    );
  };
  const taken = () => outcomes.splice(0);
  const logged = () => log.splice(0);
  const specs = () => submitted.mock.calls.map(([spec]) => spec);
  return { served, parts, pool, layout, generate, embed, taken, logged, specs, attached, shortages };
}
