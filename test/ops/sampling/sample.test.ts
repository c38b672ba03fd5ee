// The op `sample` against Sampler and LogprobReader: the same tokens, log probabilities, random numbers and errors, to the
// bit, for every option, on every kernel set.
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../../src/engine.js';
import { loadAddon } from '../../../src/native/load.js';
import { type PrivateMemory, SampleRows, type SampleRowsSizes } from '../../../src/ops/sampling/sample-rows.js';
import { RandomSource } from '../../../src/sampling/random.js';
import type { SamplingOptions } from '../../../src/sampling/sampling-options.js';
import { SamplingState } from '../../../src/sampling/sampling-state.js';
import type { TensorScope } from '../../../src/tensor/tensor-scope.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { expectRejection } from '../../support/rejections.js';
import { isas, sharedEngines } from '../../support/running/engines.js';
import { LogprobReader } from '../../support/sampling/logprob-reader.js';
import { type LogitKind, logitKinds, SampleCases } from '../../support/sampling/sample-cases.js';
import { Sampler } from '../../support/sampling/sampler.js';
import { collectGarbage } from '../../tensor/support.js';

const engines = sharedEngines();
const addon = loadAddon();
const wordless = { decode: () => '' } as unknown as Tokenizer;

function sampleRows(scope: TensorScope, sizes: SampleRowsSizes): SampleRows {
  const memory: PrivateMemory = {
    privateTensor: (shape) => scope.tensor(shape, 'i32'),
    addressOf: (array) => addon.addressOf(array as Uint8Array),
  };
  return new SampleRows(memory, sizes);
}

function recordSampling(engine: Engine, rows: SampleRows) {
  return engine.program((p) => {
    const logits = p.input([rows.sizes.rows, rows.sizes.vocabulary]);
    p.sample(logits, { rows });
    return { logits };
  });
}

/** A request for the op, and a Sampler with the same options as its oracle. */
class Request {
  readonly options: SamplingOptions;
  readonly logprobs: number | undefined;
  readonly state: SamplingState;
  readonly #sampler: Sampler;
  readonly #reader: LogprobReader;

  constructor(options: SamplingOptions, vocabulary: number, logprobs: number | undefined, prompt: readonly number[]) {
    this.options = options;
    this.logprobs = logprobs;
    this.state = new SamplingState(options, vocabulary);
    this.#sampler = new Sampler(options, vocabulary);
    this.#reader = new LogprobReader(wordless, logprobs ?? 0);
    this.state.acceptPrompt(prompt);
    for (const id of prompt) this.#sampler.accept(id);
  }

  /** The expected result, as one value. */
  expected(logits: Float32Array, allowed: Uint32Array | undefined): unknown {
    try {
      const id = this.#sampler.sample(logits, { allowed });
      if (this.logprobs === undefined) return { id };
      const { logprob, top } = this.#reader.read(logits, id);
      return { id, logprob, ids: top.map((one) => one.id), logprobs: top.map((one) => one.logprob) };
    } catch (error) {
      return String(error);
    }
  }

  /** The result of the op. */
  actual(rows: SampleRows, row: number): unknown {
    try {
      const id = rows.idOf(row);
      if (this.logprobs === undefined) return { id };
      const { logprob, ids, logprobs } = rows.logprobsOf(row);
      return { id, logprob, ids: [...ids], logprobs: [...logprobs] };
    } catch (error) {
      return String(error);
    }
  }

  accept(id: number): void {
    this.#sampler.accept(id);
    this.state.acceptChosen(id);
  }
}

interface Plan {
  readonly vocabulary: number;
  readonly rows: number;
  readonly steps: number;
  readonly seed: number;
  readonly kinds?: readonly LogitKind[];
}

async function compare(engine: Engine, { vocabulary, rows: count, steps, seed, kinds = logitKinds }: Plan) {
  using scope = engine.scope();
  const rows = sampleRows(scope, { rows: count, vocabulary, alternatives: 100 });
  using program = recordSampling(engine, rows);
  const random = new RandomSource(seed);
  const cases = new SampleCases(random);
  const begin = () => {
    const logprobs = cases.oneOf([undefined, undefined, 0, 1, 20, 100]);
    const prompt = Array.from({ length: cases.oneOf([0, 3, 300]) }, () => cases.integer(vocabulary));
    return new Request(cases.options(vocabulary), vocabulary, logprobs, prompt);
  };
  const requests = Array.from({ length: count }, begin);
  let compared = 0;
  for (let step = 0; step < steps; step++) {
    const inputs = requests.map((request, row) => {
      const kind = cases.oneOf(kinds);
      const logits = cases.logits(kind, vocabulary);
      const allowed = cases.allowed(vocabulary);
      const isUsed = cases.integer(10) > 0;
      program.tensors.logits.data.set(logits, row * vocabulary);
      if (isUsed) rows.set(row, request.state, { allowed, logprobs: request.logprobs });
      else rows.clear(row);
      return { kind, logits, allowed, isUsed };
    });
    const before = program.tensors.logits.toArray();
    await program.run();
    expect(program.tensors.logits.toArray()).toEqual(before);
    for (const [row, { kind, logits, allowed, isUsed }] of inputs.entries()) {
      const request = requests[row] as Request;
      if (!isUsed) {
        expect(() => rows.idOf(row)).toThrow(/not sampled/);
        continue;
      }
      const expected = request.expected(logits, allowed);
      const label = `${kind} ${JSON.stringify(request.options)}`;
      expect({ label, result: request.actual(rows, row) }).toEqual({ label, result: expected });
      compared += 1;
      if (typeof expected === 'string') requests[row] = begin();
      else request.accept((expected as { id: number }).id);
      if (cases.integer(8) === 0) requests[row] = begin();
    }
  }
  return compared;
}

describe.each(isas)('on %s', (isa) => {
  test.each([1, 2, 31, 33, 500, 1024, 2500])('%i tokens: every option and kind of logits', async (vocabulary) => {
    const engine = await engines({ threads: 2, isa });
    const steps = vocabulary < 1000 ? 40 : 10;
    expect(await compare(engine, { vocabulary, rows: 16, steps, seed: vocabulary })).toBeGreaterThan(8 * steps);
  });

  test('131,072 tokens', { timeout: 120_000 }, async () => {
    const engine = await engines({ threads: 2, isa });
    const kinds = ['flat', 'usual', 'peaked', 'ties', 'equal', 'mostly banned', 'ascending'] as const;
    await compare(engine, { vocabulary: 131_072, rows: 2, steps: 4, seed: 7, kinds });
  });

  test('reports a row that the vector kernels left to the reference', async () => {
    const engine = await engines({ threads: 2, isa });
    using scope = engine.scope();
    const rows = sampleRows(scope, { rows: 2, vocabulary: 10_000, alternatives: 0 });
    using program = recordSampling(engine, rows);
    const logits = new SampleCases(new RandomSource(9)).logits('usual', 10_000);
    program.tensors.logits.data.set(logits, 0);
    program.tensors.logits.data.set(logits, 10_000);
    rows.set(0, new SamplingState({ temperature: 0.7, seed: 1, topP: 0.9 }));
    rows.set(1, new SamplingState({ temperature: 0.7, seed: 1, topP: 1 - 2 ** -53 }));
    await program.run();
    expect([rows.isDeclined(0), rows.isDeclined(1)]).toEqual([false, isa !== 'ref']);
  });

  test('any number of threads and any layout of logits give the same results', async () => {
    for (const threads of [1, 3]) {
      const engine = await engines({ threads, isa });
      using scope = engine.scope();
      const rows = sampleRows(scope, { rows: 5, vocabulary: 40, alternatives: 3 });
      const cases = new SampleCases(new RandomSource(3));
      const values = Array.from({ length: 5 }, () => cases.logits('usual', 40));
      const wide = scope.tensor(
        [3, 50],
        Float32Array.from({ length: 150 }, () => 99),
      );
      const columns = scope.tensor([40, 2]);
      for (let row = 0; row < 3; row++) wide.slice([row, row + 1], [5, 45]).set(values[row] as Float32Array);
      for (let row = 0; row < 2; row++)
        columns
          .transpose()
          .slice([row, row + 1])
          .set(values[3 + row] as Float32Array);
      using program = engine.program((p) => {
        p.sample(wide.slice(null, [5, 45]), { rows });
        p.sample(columns.transpose(), { rows, firstRow: 3 });
      });
      const options = { temperature: 1, seed: 1, topP: 0.9 };
      for (let row = 0; row < 5; row++) rows.set(row, new SamplingState(options), { logprobs: row % 4 });
      await program.run();
      for (let row = 0; row < 5; row++) {
        const request = new Request(options, 40, row % 4, []);
        expect(request.actual(rows, row)).toEqual(request.expected(values[row] as Float32Array, undefined));
      }
    }
  });
});

describe('rows', () => {
  const sizes = { rows: 2, vocabulary: 70, alternatives: 4 };

  test('cannot be changed while a program runs on them', async () => {
    const engine = await engines({ threads: 2 });
    using scope = engine.scope();
    // So much work that the calling thread does not assist.
    const rows = sampleRows(scope, { ...sizes, rows: 50, vocabulary: 100_000 });
    using program = recordSampling(engine, rows);
    const state = new SamplingState({ temperature: 1 });
    for (let row = 0; row < 50; row++) rows.set(row, state);
    const run = program.run();
    expect(() => rows.set(0, state)).toThrow(expect.objectContaining({ code: 'ERR_BUSY' }));
    expect(() => rows.clear(1)).toThrow(expect.objectContaining({ code: 'ERR_BUSY' }));
    await run;
    rows.clear(0);
  });

  test('refuse parameters that do not fit', async () => {
    const engine = await engines({ threads: 1 });
    using scope = engine.scope();
    const rows = sampleRows(scope, sizes);
    const state = new SamplingState();
    const shared = (words: number) => new Uint32Array(new SharedArrayBuffer(4 * words));
    for (const wrong of [
      () => rows.set(2, state),
      () => rows.set(-1, state),
      () => rows.set(0, state, { logprobs: 5 }),
      () => rows.set(0, state, { allowed: shared(2) }),
      () => rows.set(0, state, { allowed: new Uint32Array(3) }),
    ]) {
      expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    }
    rows.set(0, state, { logprobs: 4, allowed: shared(3) });
    const logits = scope.tensor([2, 70]);
    const record = (what: Parameters<typeof engine.program>[0]) => () => engine.program(what);
    for (const [what, code] of [
      [record((p) => p.sample(scope.tensor([2, 71]), { rows })), 'ERR_SHAPE'],
      [record((p) => p.sample(scope.tensor([70]), { rows })), 'ERR_SHAPE'],
      [record((p) => p.sample(scope.tensor([3, 70]), { rows })), 'ERR_SHAPE'],
      [record((p) => p.sample(logits, { rows, firstRow: 1 })), 'ERR_SHAPE'],
      [record((p) => p.sample(logits, { rows, firstRow: -1 })), 'ERR_SHAPE'],
      [record((p) => p.sample(scope.tensor([2, 70], 'i32'), { rows })), 'ERR_DTYPE'],
      [record((p) => p.sample(logits, {} as never)), 'ERR_ARGUMENT'],
      [record((p) => p.sample(logits, { rows, out: logits } as never)), 'ERR_ARGUMENT'],
      [record((p) => p.sample(logits, { rows, temperature: 1 } as never)), 'ERR_ARGUMENT'],
    ] as const) {
      await expectRejection(what, code);
    }
  });

  test('with ids outside the vocabulary fail the run with ERR_INDEX', async () => {
    const engine = await engines({ threads: 1 });
    using scope = engine.scope();
    const rows = sampleRows(scope, sizes);
    using program = recordSampling(engine, rows);
    rows.set(0, new SamplingState({ logitBias: { 70: 1 } }));
    await expectRejection(program.run(), 'ERR_INDEX', /sample/);
    rows.clear(0);
    await program.run();
    expect(() => rows.idOf(0)).toThrow(/not sampled/);
  });

  test('keep the arrays alive that they point to', async () => {
    const engine = await engines({ threads: 1 });
    using scope = engine.scope();
    const rows = sampleRows(scope, sizes);
    using program = recordSampling(engine, rows);
    let state: SamplingState | undefined = new SamplingState({ logitBias: { 3: 5 } }, 70);
    const biases = new WeakRef(state.biases as Float64Array);
    rows.set(0, state);
    state = undefined;
    await collectGarbage();
    expect(biases.deref()).toBeDefined();
    await program.run();
    expect(rows.idOf(0)).toBe(3);
    rows.clear(0);
    await collectGarbage();
    expect(biases.deref()).toBeUndefined();
  });
});
