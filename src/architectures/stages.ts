// The stages that forward passes consist of: norms, projections, attention, feed-forward layers. Each records its ops
// with the weights of a given name. All architectures record through these.

import type { ProgramBuilder } from '../ops/calls/program-builder.js';
import { PackedMatrix } from '../ops/matmul/pack.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  type AttendOptions,
  type ForwardInputs,
  type ModelConfig,
  type QueriesKeysValues,
  vectorIn,
  type Weight,
  type Weights,
} from './architecture.js';
import type { BaseConfig } from './config-reader.js';
import type { RopeConfig } from './rope-scaling.js';

/** What a stage records into, and the weights that it uses. */
export interface Place {
  readonly p: ProgramBuilder;
  readonly weights: Weights;
  /** Precedes the names of its weights: empty, or `blk.<layer>.`. */
  readonly prefix: string;
}

/** A forward pass while it is recorded. */
export interface Pass<Config extends ModelConfig = ModelConfig, Inputs = unknown> extends Place {
  readonly config: Config;
  readonly inputs: Inputs;
}

/** One layer of a pass. */
export interface Layer<Config extends ModelConfig = ModelConfig, Inputs = unknown> extends Pass<Config, Inputs> {
  readonly index: number;
}

type RotaryConfig = ModelConfig & { readonly rope: RopeConfig };
type RotaryInputs = Pick<ForwardInputs, 'constants'>;

/** The layers of a pass, first to last. */
export function* layersOf<Config extends ModelConfig, Inputs>(
  pass: Pass<Config, Inputs>,
): Generator<Layer<Config, Inputs>> {
  for (let index = 0; index < pass.config.layers; index++) yield { ...pass, index, prefix: `blk.${index}.` };
}

/** A required weight: loading has checked that it is there. */
function weightOf({ weights, prefix }: Place, name: string): Weight {
  return weights.get(`${prefix}${name}.weight`) as Weight;
}

/** A weight that is no factor alone: its rows can be looked up. */
type Table = Exclude<Weight, PackedMatrix>;

/** Whether the model has an optional weight. */
export function hasWeight({ weights, prefix }: Place, name: string): boolean {
  return weights.has(`${prefix}${name}.weight`);
}

function biasOf({ weights, prefix }: Place, name: string): Tensor | undefined {
  return vectorIn(weights, `${prefix}${name}.bias`);
}

/** A required weight whose spec has `asF32`: that of a norm, or a table that is added. */
export function tensorOf({ weights, prefix }: Place, name: string): Tensor {
  return vectorIn(weights, `${prefix}${name}.weight`) as Tensor;
}

/** The rows of the embedding for the tokens of the pass, f32 [tokens, dim]. */
export function embed(at: Pass<ModelConfig, { readonly ids: Tensor }>): Tensor {
  return at.p.embedding(weightOf(at, 'token_embd') as Table, at.inputs.ids);
}

export function rmsNorm(at: Pass<BaseConfig>, name: string, x: Tensor, options: { out?: Tensor } = {}): Tensor {
  return at.p.rmsNorm(x, tensorOf(at, name), { eps: at.config.normEps, ...options });
}

export function layerNorm(at: Pass<BaseConfig>, name: string, x: Tensor, options: { out?: Tensor } = {}): Tensor {
  const bias = biasOf(at, name);
  return at.p.layerNorm(x, {
    weight: tensorOf(at, name),
    ...(bias && { bias }),
    eps: at.config.normEps,
    ...options,
  });
}

type Activation = 'gelu' | 'geluTanh' | 'silu';

export interface ProjectOptions {
  /** Added to the result; may be `out`. */
  readonly residual?: Tensor;
  readonly out?: Tensor;
}

/** y = x · wᵀ, plus a bias where the model has one. The matrix is [out, in]. */
export function project(
  at: Place,
  name: string,
  x: Tensor,
  options: ProjectOptions & { activation?: Activation } = {},
): Tensor {
  const bias = biasOf(at, name);
  const weight = weightOf(at, name);
  const transposeB = !(weight instanceof PackedMatrix);
  return at.p.matmul(x, weight, { transposeB, ...(bias && { bias }), ...options });
}

/** Several projections of the same x. */
export function projectMany<Names extends readonly string[]>(
  at: Place,
  names: readonly [...Names],
  x: Tensor,
): { -readonly [Index in keyof Names]: Tensor } {
  return names.map((name) => project(at, name, x)) as { -readonly [Index in keyof Names]: Tensor };
}

/** A view of [tokens, count · headDim] as heads: [tokens, count, headDim]. */
export function asHeads(at: Pass, x: Tensor, count: number): Tensor {
  return x.reshape([-1, count, at.config.headDim]);
}

export function queriesKeysValues(at: Pass, h: Tensor): QueriesKeysValues {
  const { heads, kvHeads } = at.config;
  const [q, k, v] = projectMany(at, ['attn_q', 'attn_k', 'attn_v'], h);
  return { q: asHeads(at, q, heads), k: asHeads(at, k, kvHeads), v: asHeads(at, v, kvHeads) };
}

/** The same from one projection, which has the rows of q, then those of k, then those of v. */
export function fusedQueriesKeysValues(at: Pass, h: Tensor): QueriesKeysValues {
  const { heads, kvHeads } = at.config;
  const all = asHeads(at, project(at, 'attn_qkv', h), heads + 2 * kvHeads);
  const part = (from: number, count: number) => all.slice(null, [from, from + count]);
  return { q: part(0, heads), k: part(heads, kvHeads), v: part(heads + kvHeads, kvHeads) };
}

/** The heads with the norms of queries and keys, which attention applies to each head by itself. */
export function normed(at: Pass<BaseConfig>, heads: QueriesKeysValues): QueriesKeysValues {
  const norms = { q: tensorOf(at, 'attn_q_norm'), k: tensorOf(at, 'attn_k_norm'), eps: at.config.normEps };
  return { ...heads, norms };
}

/**
 * The heads with their rotation, which attention applies.
 * @param table the name of the constant that has the frequencies
 */
export function rotated(
  { config, inputs }: Pass<RotaryConfig, RotaryInputs>,
  heads: QueriesKeysValues,
  table = 'rope',
): QueriesKeysValues {
  const { style, magnitude } = config.rope;
  return { ...heads, rotation: { frequencies: inputs.constants.get(table) as Tensor, style, magnitude } };
}

/** Normalises and rotates queries and keys in place, where attention does not. */
export function normAndRotate(
  p: ProgramBuilder,
  { q, k, norms, rotation }: QueriesKeysValues,
  positions: Tensor,
): void {
  if (norms !== undefined) {
    p.rmsNorm(q, norms.q, { eps: norms.eps, out: q });
    p.rmsNorm(k, norms.k, { eps: norms.eps, out: k });
  }
  if (rotation === undefined) return;
  for (const x of [q, k]) p.rope(x, positions, { ...rotation, out: x });
}

/** Queries against all keys so far: those of earlier passes and those of this one. f32 [tokens, heads · headDim]. */
export function attend(
  { inputs, index }: Layer<ModelConfig, ForwardInputs>,
  heads: QueriesKeysValues,
  options: AttendOptions = {},
): Tensor {
  return inputs.attend(index, heads, options);
}

/** down(activation(gate(h)) · up(h)): SwiGLU and its relatives (Shazeer 2020). */
export function gatedFeedForward(
  at: Place,
  h: Tensor,
  { activation, ...options }: { activation: Activation } & ProjectOptions,
): Tensor {
  const { p } = at;
  if (activation === 'silu') {
    const [gate, up] = projectMany(at, ['ffn_gate', 'ffn_up'], h);
    return project(at, 'ffn_down', p.siluMul(gate, up, { out: gate }), options);
  }
  const gate = project(at, 'ffn_gate', h, { activation });
  const up = project(at, 'ffn_up', h);
  return project(at, 'ffn_down', p.mul(gate, up, { out: gate }), options);
}

/** down(activation(up(h))). */
export function feedForward(
  at: Place,
  h: Tensor,
  { activation, ...options }: { activation: Activation } & ProjectOptions,
): Tensor {
  return project(at, 'ffn_down', project(at, 'ffn_up', h, { activation }), options);
}

/** The logits of hidden states: by the output matrix or, where there is none, by the embedding. */
export function logits(p: ProgramBuilder, weights: Weights, hidden: Tensor): Tensor {
  return project({ p, weights, prefix: '' }, weights.has('output.weight') ? 'output' : 'token_embd', hidden);
}
