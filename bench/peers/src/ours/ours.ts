// Our side of every row: the work through the public API of tesserae, with the same operands as the peers, and the
// check of its result against float64 where the benchmarks have one.
import { checkAttention, checkMatmul } from '../../../../dist/bench/measuring/checks.js';
import { WrongResultError } from '../../../../dist/bench/measuring/wrong-result.js';
import { probeLanes, runProbeFma } from '../../../../dist/src/hardware/probes.js';
import type { Engine, Tensor, TensorScope } from '../../../../dist/src/index.js';
import {
  type AttentionWork,
  type LayerWork,
  type MatmulWork,
  type NegateWork,
  projection,
  type RoundTripWork,
  seeds,
  uniform,
  type Work,
} from '../work/work.js';
import { encoderProgram } from './ours-encoder.js';
import { textsModel } from './ours-texts.js';

export interface Ours {
  run(): Promise<unknown>;
  readonly out: Float32Array;
  /** @throws WrongResultError */
  check(): void;
  release(): void;
}

export interface OursOptions {
  /** For a layer: a program with packed weights, instead of one awaited call with plain ones. */
  readonly asProgram?: boolean;
}

/** Prepares `work`; its result is NaN until the first run. */
export async function prepareOurs(engine: Engine, work: Work, { asProgram = false }: OursOptions = {}): Promise<Ours> {
  const scope = engine.scope();
  const owned: Disposable[] = [];
  const own = <T extends Disposable>(entry: T) => owned[owned.push(entry) - 1] as T;
  const context = { engine, scope, own };
  const release = () => {
    for (const entry of owned.reverse()) entry[Symbol.dispose]();
    scope[Symbol.dispose]();
    engine.trim();
  };
  switch (work.op) {
    case 'matmul':
      return { ...(await matmul(context, work)), release };
    case 'attention':
      return { ...attention(context, work), release };
    case 'layer':
      return { ...(await (asProgram ? layerProgram : layer)(context, work)), release };
    case 'encoder': {
      const out = result(scope, [work.batch, work.tokens, work.width]);
      return { ...(await encoderProgram(context, work, out)), out: out.data, check: unchecked, release };
    }
    case 'texts': {
      const { model, run, out } = await textsModel(engine, work);
      own(model);
      return { run, out, check: unchecked, release };
    }
    case 'negate':
      return { ...negate(context, work), release };
    case 'roundtrip':
      return { ...roundTrip(context, work), release };
  }
}

type Made = Omit<Ours, 'release'>;

interface Context {
  readonly engine: Engine;
  readonly scope: TensorScope;
  /** Disposes at the release what the scope cannot hold. */
  readonly own: <T extends Disposable>(entry: T) => T;
}

function result(scope: TensorScope, shape: readonly number[]): Tensor<'f32'> {
  const out = scope.tensor(shape);
  out.data.fill(Number.NaN);
  return out;
}

async function matmul({ engine, scope, own }: Context, { m, n, k, constantB }: MatmulWork): Promise<Made> {
  const a = scope.tensor([m, k], uniform(m * k, seeds.a));
  const b = scope.tensor([k, n], uniform(k * n, seeds.b));
  const out = result(scope, [m, n]);
  const weights = constantB ? own(await engine.pack(b)) : b;
  return {
    run: () => engine.matmul(a, weights, { out }),
    out: out.data,
    check: () => checkMatmul({ name: 'tesserae', m, n, k, bound: 'compute' }, a.data, b.data, out.data),
  };
}

function attention({ engine, scope }: Context, work: AttentionWork): Made {
  const { batch, heads, tokens, dim, causal } = work;
  const operand = (seed: number) =>
    scope.tensor([batch, heads, tokens, dim], uniform(batch * heads * tokens * dim, seed));
  const [q, k, v] = [operand(seeds.q), operand(seeds.k), operand(seeds.v)];
  const out = result(scope, q.shape);
  const shape = {
    name: 'tesserae',
    batch,
    heads,
    kvHeads: heads,
    queries: tokens,
    keys: tokens,
    dim,
    causal,
    bound: 'compute',
  } as const;
  return {
    run: () => engine.attention(q, k, v, { causal, out }),
    out: out.data,
    check: () => checkAttention(shape, { q: q.data, k: k.data, v: v.data }, out.data),
  };
}

/** For results that are compared with those of the peers alone. */
const unchecked = () => {};

function layerOperands(scope: TensorScope, { batch, tokens, width }: LayerWork) {
  const weight = (seed: number) => scope.tensor([width, width], projection(width, seed));
  const bias = (seed: number) => scope.tensor([width], uniform(width, seed));
  return {
    x: scope.tensor([batch, tokens, width], uniform(batch * tokens * width, seeds.x)),
    weights: { wq: weight(seeds.wq), wk: weight(seeds.wk), wv: weight(seeds.wv), wo: weight(seeds.wo) },
    biases: { bq: bias(seeds.bq), bk: bias(seeds.bk), bv: bias(seeds.bv), bo: bias(seeds.bo) },
    out: result(scope, [batch, tokens, width]),
  };
}

function layer({ engine, scope }: Context, work: LayerWork): Made {
  const { x, weights, biases, out } = layerOperands(scope, work);
  return {
    run: () => engine.multiHeadAttention(x, { ...weights, ...biases, heads: work.heads, out }),
    out: out.data,
    check: unchecked,
  };
}

async function layerProgram({ engine, scope, own }: Context, work: LayerWork): Promise<Made> {
  const { x, weights, biases, out } = layerOperands(scope, work);
  const pack = async (weight: Tensor) => own(await engine.pack(weight));
  const [wq, wk, wv, wo] = [
    await pack(weights.wq),
    await pack(weights.wk),
    await pack(weights.wv),
    await pack(weights.wo),
  ];
  const { batch, tokens, width, heads } = work;
  const joined = scope.tensor([batch, tokens, width]);
  const program = own(
    engine.program((p) => {
      const split = (y: Tensor) => y.reshape([batch, tokens, heads, width / heads]).transpose(0, 2, 1, 3);
      const q = split(p.matmul(x, wq, { bias: biases.bq }));
      const k = split(p.matmul(x, wk, { bias: biases.bk }));
      const v = split(p.matmul(x, wv, { bias: biases.bv }));
      p.attention(q, k, v, { out: split(joined) });
      p.matmul(joined, wo, { bias: biases.bo, out });
    }),
  );
  return { run: () => program.run(), out: out.data, check: unchecked };
}

function negate({ engine, scope, own }: Context, { size, ops }: NegateWork): Made {
  const values = uniform(size, seeds.x);
  const x = scope.tensor([size], values);
  const out = result(scope, [size]);
  const check = () => {
    const sign = ops % 2 === 0 ? 1 : -1;
    if (!out.data.every((value, index) => value === sign * (values[index] as number))) {
      throw new WrongResultError('tesserae');
    }
  };
  if (ops === 1) return { run: () => engine.scale(x, -1, { out }), out: out.data, check };
  const program = own(
    engine.program((p) => {
      let y = p.scale(x, -1);
      for (let i = 2; i < ops; i++) y = p.scale(y, -1);
      p.scale(y, -1, { out });
    }),
  );
  return { run: () => program.run(), out: out.data, check };
}

/** An op without work, of one tile for each task. */
function roundTrip({ engine, scope }: Context, { tasks, by }: RoundTripWork): Made {
  const out = result(scope, [tasks, probeLanes]);
  const check = () => {
    if (!out.data.every((value, lane) => value === lane % probeLanes)) throw new WrongResultError('tesserae');
  };
  return { run: () => runProbeFma(engine, out, 2, by), out: out.data, check };
}
