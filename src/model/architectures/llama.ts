// The llama architecture (Touvron et al. 2023): RMSNorm before each part, rotary positions, grouped-query attention,
// a SwiGLU feed-forward layer. Tensor names and metadata keys are those of the GGUF specification.
import { mostHeadDim } from '../../ops/attention.js';
import type { ProgramBuilder } from '../../ops/program-builder.js';
import { ropeFrequencies } from '../../ops/rope.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { GgufMetadata } from '../gguf/metadata.js';
import type { Architecture, ForwardInputs, LayerCache, ModelConfig, WeightSpec, Weights } from './architecture.js';

export interface LlamaConfig extends ModelConfig {
  readonly ffn: number;
  readonly normEps: number;
  readonly ropeBase: number;
  /** Rotated elements of each head; the rest pass. */
  readonly ropeDim: number;
}

function readConfig(metadata: GgufMetadata): LlamaConfig {
  const key = (name: string) => `llama.${name}`;
  const size = (name: string, fallback?: number): number => {
    const value = metadata.count(key(name), fallback);
    if (value < 1) throw metadata.error(key(name), 'must be at least 1');
    return value;
  };
  const dim = size('embedding_length');
  const heads = size('attention.head_count');
  const kvHeads = size('attention.head_count_kv', heads);
  if (heads % kvHeads !== 0) throw metadata.error(key('attention.head_count_kv'), `does not divide ${heads} heads`);
  if (!metadata.has(key('attention.key_length')) && dim % heads !== 0) {
    throw metadata.error(key('attention.head_count'), `is ${heads}, which does not divide the width of ${dim}`);
  }
  const headDim = size('attention.key_length', dim / heads);
  if (headDim > mostHeadDim) {
    const problem = `makes heads of ${headDim}; ${mostHeadDim} is the widest that is supported`;
    throw metadata.error(key('attention.head_count'), problem, 'ERR_UNSUPPORTED');
  }
  if (metadata.count(key('attention.value_length'), headDim) !== headDim) {
    throw metadata.error(key('attention.value_length'), 'differs from that of the keys', 'ERR_UNSUPPORTED');
  }
  const positive = (name: string, fallback: number): number => {
    const value = metadata.number(key(name), fallback);
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw metadata.error(key(name), 'must be a positive number');
    return value;
  };
  const scaling = metadata.string(key('rope.scaling.type'), 'none');
  if (scaling !== 'none') {
    throw metadata.error(key('rope.scaling.type'), `asks for ${scaling}, which is not supported`, 'ERR_UNSUPPORTED');
  }
  if (metadata.count(key('expert_count'), 0) > 0) {
    throw metadata.error(
      key('expert_count'),
      'asks for a mixture of experts, which is not supported',
      'ERR_UNSUPPORTED',
    );
  }
  const ropeDim = size('rope.dimension_count', headDim);
  if (ropeDim % 2 !== 0 || ropeDim > headDim) {
    throw metadata.error(key('rope.dimension_count'), `must be even and at most ${headDim}`);
  }
  return {
    architecture: 'llama',
    layers: size('block_count'),
    dim,
    heads,
    kvHeads,
    headDim,
    vocabulary: metadata.strings('tokenizer.ggml.tokens').length,
    contextLength: size('context_length'),
    ffn: size('feed_forward_length'),
    normEps: positive('attention.layer_norm_rms_epsilon', 1e-5),
    ropeBase: positive('rope.freq_base', 10_000),
    ropeDim,
  };
}

function weights(config: LlamaConfig): WeightSpec[] {
  const { dim, ffn, heads, kvHeads, headDim, ropeDim, vocabulary } = config;
  const matrix = (name: string, rows: number, columns: number, optional = false): WeightSpec => ({
    name: `${name}.weight`,
    shape: [rows, columns],
    asF32: false,
    optional,
  });
  const vector = (name: string, length: number, optional = false): WeightSpec => ({
    name: `${name}.weight`,
    shape: [length],
    asF32: true,
    optional,
  });
  const norm = (name: string): WeightSpec => vector(name, dim);
  const layer = (index: number): WeightSpec[] => {
    const block = `blk.${index}`;
    return [
      norm(`${block}.attn_norm`),
      matrix(`${block}.attn_q`, heads * headDim, dim),
      matrix(`${block}.attn_k`, kvHeads * headDim, dim),
      matrix(`${block}.attn_v`, kvHeads * headDim, dim),
      matrix(`${block}.attn_output`, dim, heads * headDim),
      norm(`${block}.ffn_norm`),
      matrix(`${block}.ffn_gate`, ffn, dim),
      matrix(`${block}.ffn_up`, ffn, dim),
      matrix(`${block}.ffn_down`, dim, ffn),
    ];
  };
  return [
    matrix('token_embd', vocabulary, dim),
    ...Array.from({ length: config.layers }, (_, index) => layer(index)).flat(),
    norm('output_norm'),
    // Without an output matrix the embedding serves for both ends (tied weights).
    matrix('output', vocabulary, dim, true),
    vector('rope_freqs', ropeDim / 2, true),
  ];
}

/** A weight that `weights` has named as required, so that loading has seen to its being there. */
function weight(all: Weights, name: string): Tensor {
  return all.get(`${name}.weight`) as Tensor;
}

/** y = x · wᵀ, plus `residual` where given: the layout of a projection in the file is [out, in]. */
function project(p: ProgramBuilder, x: Tensor, w: Tensor, options: { residual?: Tensor; out?: Tensor } = {}): Tensor {
  return p.matmul(x, w, { transposeB: true, ...options });
}

function* recordHidden(
  p: ProgramBuilder,
  config: LlamaConfig,
  all: Weights,
  inputs: ForwardInputs,
): Generator<void, Tensor> {
  const { normEps: eps } = config;
  const x = p.embedding(weight(all, 'token_embd'), inputs.ids);
  for (let index = 0; index < config.layers; index++) {
    const block = `blk.${index}`;
    const h = p.rmsNorm(x, weight(all, `${block}.attn_norm`), { eps });
    const mixed = attend({ p, config, all, inputs, index }, h);
    project(p, mixed, weight(all, `${block}.attn_output`), { residual: x, out: x });
    const gated = feed(p, all, block, p.rmsNorm(x, weight(all, `${block}.ffn_norm`), { eps }));
    project(p, gated, weight(all, `${block}.ffn_down`), { residual: x, out: x });
    yield;
  }
  return p.rmsNorm(x, weight(all, 'output_norm'), { eps });
}

/** What the parts of one layer share. */
interface LayerPass {
  readonly p: ProgramBuilder;
  readonly config: LlamaConfig;
  readonly all: Weights;
  readonly inputs: ForwardInputs;
  readonly index: number;
}

/** Queries against all keys so far: those in the cache and those that this pass adds to it. */
function attend({ p, config, all, inputs, index }: LayerPass, h: Tensor): Tensor {
  const { heads, kvHeads, headDim } = config;
  const { positions, ropeFrequencies: frequencies } = inputs;
  const cache = inputs.cache[index] as LayerCache;
  const block = `blk.${index}`;
  const asHeads = (x: Tensor, count: number) => x.reshape([-1, count, headDim]);
  const q = asHeads(project(p, h, weight(all, `${block}.attn_q`)), heads);
  const k = asHeads(project(p, h, weight(all, `${block}.attn_k`)), kvHeads);
  const v = asHeads(project(p, h, weight(all, `${block}.attn_v`)), kvHeads);
  p.rope(q, positions, { frequencies, out: q });
  p.rope(k, positions, { frequencies, out: k });
  p.scatter(k.transpose(1, 0, 2), positions, { out: cache.keys });
  p.scatter(v.transpose(1, 0, 2), positions, { out: cache.values });
  const mixed = p.attention(q.transpose(1, 0, 2).unsqueeze(0), cache.keys.unsqueeze(0), cache.values.unsqueeze(0), {
    causal: true,
    positions,
  });
  // [1, heads, tokens, headDim] -> [tokens, heads · headDim]
  return p.copy(mixed.squeeze(0).transpose(1, 0, 2)).reshape([-1, heads * headDim]);
}

/** SwiGLU (Shazeer 2020): silu(gate) · up. */
function feed(p: ProgramBuilder, all: Weights, block: string, h: Tensor): Tensor {
  const gate = project(p, h, weight(all, `${block}.ffn_gate`));
  const up = project(p, h, weight(all, `${block}.ffn_up`));
  return p.siluMul(gate, up, { out: gate });
}

export const llama: Architecture<LlamaConfig> = {
  name: 'llama',
  readConfig,
  weights,
  ropeFrequencies({ ropeDim, ropeBase }, all) {
    // Llama 3.1 and later stretch the slow rotations for longer contexts: each frequency has a divisor in the file.
    const divisors = all.get('rope_freqs.weight')?.toArray();
    return ropeFrequencies(ropeDim, ropeBase).map((frequency, pair) => frequency / (divisors?.[pair] ?? 1));
  },
  recordHidden,
  recordLogits: (p, _config, all, hidden) => project(p, hidden, all.get('output.weight') ?? weight(all, 'token_embd')),
};
