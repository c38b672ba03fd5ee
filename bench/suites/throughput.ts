// The suites matmul, attention and scaling: the time of an awaited call of the public API, on several worker counts in
// turns, as GFLOPS and as shares of the probed peaks. A wrong result gives an error instead of a figure.

import { formatWorkers } from '../../src/base/number-text.js';
import type { Engine, Tensor, TensorScope } from '../../src/index.js';
import { checkAttention, checkMatmul } from '../measuring/checks.js';
import type { BenchContext, Origin } from '../measuring/context.js';
import { interleave } from '../measuring/interleave.js';
import { fillUniform } from '../measuring/seeded-numbers.js';
import {
  type AttentionShape,
  attentionBytes,
  attentionFlops,
  attentionShapes,
  describeAttention,
  describeMatmul,
  type MatmulShape,
  matmulBytes,
  matmulFlops,
  matmulShapes,
  shapeNamed,
} from '../measuring/shapes.js';
import { median, smallest } from '../measuring/statistics.js';
import { WrongResultError } from '../measuring/wrong-result.js';

export interface ThroughputRow extends Origin {
  readonly op: 'matmul' | 'attention';
  readonly name: string;
  readonly shape: string;
  readonly workers: number;
  readonly medianMs: number;
  readonly bestMs: number;
  readonly samples: number;
  readonly flops: number;
  /** Of operands and result, each counted once. */
  readonly bytes: number;
  readonly gflops: number;
  /** Of the FMA peak of as many workers, probed in this run. */
  readonly peakShare: number;
  /** Of the probed read bandwidth, for shapes that are bound by it; else null. */
  readonly readShare: number | null;
  /** How many times as fast as one worker. */
  readonly speedup: number;
}

/** A shape's operands in one engine, and the call to time. */
interface Prepared {
  readonly out: Tensor<'f32'>;
  run(): Promise<unknown>;
  /** @throws WrongResultError */
  check(): void;
}

interface Work {
  readonly op: ThroughputRow['op'];
  readonly name: string;
  readonly shape: string;
  readonly flops: number;
  readonly bytes: number;
  readonly isMemoryBound: boolean;
  prepare(engine: Engine, scope: TensorScope, signal: AbortSignal | undefined): Prepared;
}

export async function benchMatmul(context: BenchContext, names?: readonly string[]): Promise<ThroughputRow[]> {
  const shapes = names?.map((name) => shapeNamed(matmulShapes, name)) ?? matmulShapes;
  const rows: ThroughputRow[] = [];
  for (const shape of shapes) rows.push(...(await measure(context, matmulWork(shape))));
  return rows;
}

export async function benchAttention(context: BenchContext, names?: readonly string[]): Promise<ThroughputRow[]> {
  const shapes = names?.map((name) => shapeNamed(attentionShapes, name)) ?? attentionShapes;
  const rows: ThroughputRow[] = [];
  for (const shape of shapes) rows.push(...(await measure(context, attentionWork(shape))));
  return rows;
}

const scalingShapes = ['square_512', 'square_1024', 'square_2048', 'ffn_up', 'attention_512', 'attention_prefill'];

/** Needs a context of every worker count. */
export async function benchScaling(
  context: BenchContext,
  names: readonly string[] = scalingShapes,
): Promise<ThroughputRow[]> {
  const rows: ThroughputRow[] = [];
  for (const name of names) {
    const isMatmul = matmulShapes.some((shape) => shape.name === name);
    const work = isMatmul
      ? matmulWork(shapeNamed(matmulShapes, name))
      : attentionWork(shapeNamed(attentionShapes, name));
    rows.push(...(await measure(context, work)));
  }
  return rows;
}

function matmulWork(shape: MatmulShape): Work {
  const { m, n, k, batch = 1, transposeB = false } = shape;
  return {
    op: 'matmul',
    name: shape.name,
    shape: describeMatmul(shape),
    flops: matmulFlops(shape),
    bytes: matmulBytes(shape),
    isMemoryBound: shape.bound === 'memory',
    prepare(engine, scope, signal) {
      const outer = batch > 1 ? [batch] : [];
      const a = scope.tensor([...outer, m, k]);
      const b = scope.tensor(transposeB ? [...outer, n, k] : [...outer, k, n]);
      const out = scope.tensor([...outer, m, n]);
      fillUniform(a.data, 1);
      fillUniform(b.data, 2);
      out.data.fill(Number.NaN);
      return {
        out,
        run: () => engine.matmul(a, b, { transposeB, out, signal }),
        check: () => checkMatmul(shape, a.data, b.data, out.data),
      };
    },
  };
}

function attentionWork(shape: AttentionShape): Work {
  const { batch, heads, kvHeads, queries, keys, dim, causal } = shape;
  return {
    op: 'attention',
    name: shape.name,
    shape: describeAttention(shape),
    flops: attentionFlops(shape),
    bytes: attentionBytes(shape),
    isMemoryBound: shape.bound === 'memory',
    prepare(engine, scope, signal) {
      const q = scope.tensor([batch, heads, queries, dim]);
      const k = scope.tensor([batch, kvHeads, keys, dim]);
      const v = scope.tensor([batch, kvHeads, keys, dim]);
      const out = scope.tensor(q.shape);
      for (const [seed, tensor] of [q, k, v].entries()) fillUniform(tensor.data, seed + 1);
      out.data.fill(Number.NaN);
      return {
        out,
        run: () => engine.attention(q, k, v, { causal, out, signal }),
        check: () => checkAttention(shape, { q: q.data, k: k.data, v: v.data }, out.data),
      };
    },
  };
}

async function measure(context: BenchContext, work: Work): Promise<ThroughputRow[]> {
  const { counts, rounds, signal } = context;
  const scopes = counts.map((workers) => context.engine(workers).scope());
  try {
    const prepared = counts.map((workers, index) =>
      work.prepare(context.engine(workers), scopes[index] as TensorScope, signal),
    );
    context.progress(work.name);
    const samples = await interleave(prepared, {
      rounds,
      signal,
      onTurn: (turn) => {
        context.progress(`${work.name}, ${formatWorkers(counts[turn % counts.length] as number)}`);
      },
    });
    // Checks the results of the last timed calls: against float64, and bit by bit against those of the first count.
    const first = prepared[0] as Prepared;
    for (const { check, out } of prepared) {
      check();
      if (!sameBits(out.data, first.out.data)) throw new WrongResultError(work.name);
    }
    const medians = samples.map(median);
    return counts.map((workers, index) => {
      const medianMs = medians[index] as number;
      const roofline = context.roofline(workers);
      const gflops = work.flops / medianMs / 1e6;
      return {
        op: work.op,
        name: work.name,
        shape: work.shape,
        workers,
        medianMs,
        bestMs: smallest(samples[index] as number[]),
        samples: samples[index]?.length ?? 0,
        flops: work.flops,
        bytes: work.bytes,
        gflops,
        peakShare: gflops / roofline.fmaGflops,
        readShare: work.isMemoryBound ? work.bytes / medianMs / 1e6 / roofline.readGBs : null,
        speedup: (medians[0] as number) / medianMs,
        ...context.origin,
      };
    });
  } finally {
    for (const [index, workers] of counts.entries()) {
      scopes[index]?.[Symbol.dispose]();
      context.engine(workers).trim();
    }
  }
}

function sameBits(some: Float32Array, others: Float32Array): boolean {
  const bytes = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return bytes(some).equals(bytes(others));
}
