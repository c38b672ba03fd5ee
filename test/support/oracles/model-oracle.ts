// The oracle of the decoders: their forward passes in float64 and plain loops. The tensors of the file say what a layer
// has, the metadata how it is used. Uses nothing of the library but the reader of files.

import { type GgufFile, openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import type { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { bfloatToNumber, halfToNumber } from '../../../src/tensor/elements/half.js';
import { tensorBytes } from '../models/gguf-tensors.js';
import { type BlockType, blockTypes, decodeBlocks } from './ggml-blocks.js';
import { activations, attended, by, dot, layerNorm, plus, rmsNorm, times, type Vector } from './oracle-math.js';
import { oracleFrequencies } from './oracle-rope.js';

/** The states of a sequence: a vector for each token. */
export interface OracleStates {
  readonly hidden: Vector[];
  readonly logits: Vector[];
}

interface Traits {
  readonly activation: keyof typeof activations;
  readonly halfSplit: boolean;
  readonly eps: number;
  /** Multiplies the embedding. */
  readonly embeddingScale: number;
  readonly attentionScale: number;
  readonly attentionCap: number;
  readonly logitCap: number;
  /** How many keys a query of the layer attends to, its own included. */
  window(layer: number): number;
  frequencies(layer: number): readonly number[];
  readonly magnitude: number;
}

interface Sizes {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

export class ModelOracle {
  readonly #weights: ReadonlyMap<string, Vector>;
  readonly #sizes: Sizes;
  readonly #traits: Traits;

  private constructor(weights: ReadonlyMap<string, Vector>, sizes: Sizes, traits: Traits) {
    this.#weights = weights;
    this.#sizes = sizes;
    this.#traits = traits;
  }

  /** @param context positions in a session, on which the frequencies of some architectures depend */
  static async load(path: string, context = 512): Promise<ModelOracle> {
    await using file = await openGguf(path);
    const { metadata } = file;
    const weights = await readNumbers(file);
    const key = (name: string) => `${metadata.string('general.architecture')}.${name}`;
    const heads = metadata.count(key('attention.head_count'));
    const sizes = {
      layers: metadata.count(key('block_count')),
      heads,
      kvHeads: metadata.count(key('attention.head_count_kv'), heads),
      headDim: metadata.count(key('attention.key_length'), metadata.count(key('embedding_length')) / heads),
    };
    return new ModelOracle(weights, sizes, traitsOf(metadata, sizes, weights, context));
  }

  states(ids: Iterable<number>): OracleStates {
    const next = this.#sequence();
    const states: OracleStates = { hidden: [], logits: [] };
    for (const id of ids) {
      const { hidden, logits } = next(id);
      states.hidden.push(hidden);
      states.logits.push(logits);
    }
    return states;
  }

  /** The most likely tokens after a prompt, one after the other. */
  greedy(prompt: readonly number[], count: number): number[] {
    const next = this.#sequence();
    let logits: Vector = new Float64Array(0);
    for (const id of prompt) logits = next(id).logits;
    const ids: number[] = [];
    while (ids.length < count) {
      const id = logits.indexOf(logits.reduce((best, logit) => Math.max(best, logit), Number.NEGATIVE_INFINITY));
      ids.push(id);
      logits = next(id).logits;
    }
    return ids;
  }

  /** A function that takes the next token of a sequence. */
  #sequence(): (id: number) => { hidden: Vector; logits: Vector } {
    const { layers } = this.#sizes;
    const { embeddingScale, logitCap } = this.#traits;
    const embedding = this.#weights.get('token_embd.weight') as Vector;
    const keys: Vector[][] = Array.from({ length: layers }, () => []);
    const values: Vector[][] = Array.from({ length: layers }, () => []);
    let position = 0;
    return (id) => {
      let x: Vector = this.#row('token_embd', id).map((value) => value * embeddingScale);
      if (this.#has('position_embd.weight')) x = plus(x, this.#row('position_embd', position));
      for (let layer = 0; layer < layers; layer++) {
        const block = `blk.${layer}`;
        const [q, k, v] = this.#queries(block, this.#norm(`${block}.attn_norm`, x));
        this.#turn(layer, q, position);
        this.#turn(layer, k, position);
        keys[layer]?.push(k);
        values[layer]?.push(v);
        const mixed = this.#attend(layer, q, keys[layer] as Vector[], values[layer] as Vector[]);
        x = plus(x, this.#after(`${block}.post_attention_norm`, this.#linear(`${block}.attn_output`, mixed)));
        const fed = this.#feed(block, this.#norm(`${block}.ffn_norm`, x));
        x = plus(x, this.#after(`${block}.post_ffw_norm`, fed));
      }
      position++;
      const hidden = this.#norm('output_norm', x);
      const logits = times(this.#weights.get('output.weight') ?? embedding, hidden);
      return { hidden, logits: capped(logits, logitCap) };
    };
  }

  #has(name: string): boolean {
    return this.#weights.has(name);
  }

  #get(name: string): Vector {
    const weight = this.#weights.get(name);
    if (weight === undefined) throw new Error(`the file has no tensor ${name}`);
    return weight;
  }

  #row(name: string, index: number): Vector {
    const dim = this.#get('output_norm.weight').length;
    return this.#get(`${name}.weight`).slice(index * dim, (index + 1) * dim);
  }

  #linear(name: string, x: Vector): Vector {
    return plus(times(this.#get(`${name}.weight`), x), this.#weights.get(`${name}.bias`));
  }

  #norm(name: string, x: Vector): Vector {
    const bias = this.#weights.get(`${name}.bias`);
    const { eps } = this.#traits;
    return bias ? layerNorm(x, this.#get(`${name}.weight`), bias, eps) : rmsNorm(x, this.#get(`${name}.weight`), eps);
  }

  /** Applies a norm that only some architectures have. */
  #after(name: string, x: Vector): Vector {
    return this.#has(`${name}.weight`) ? this.#norm(name, x) : x;
  }

  #queries(block: string, h: Vector): [Vector, Vector, Vector] {
    const { heads, kvHeads, headDim } = this.#sizes;
    let parts: [Vector, Vector, Vector];
    if (this.#has(`${block}.attn_qkv.weight`)) {
      const all = this.#linear(`${block}.attn_qkv`, h);
      const kAt = heads * headDim;
      const vAt = kAt + kvHeads * headDim;
      parts = [all.slice(0, kAt), all.slice(kAt, vAt), all.slice(vAt)];
    } else {
      const part = (name: string) => this.#linear(`${block}.${name}`, h);
      parts = [part('attn_q'), part('attn_k'), part('attn_v')];
    }
    for (const [index, name] of ['attn_q_norm', 'attn_k_norm'].entries()) {
      const part = parts[index] as Vector;
      for (let at = 0; at < part.length && this.#has(`${block}.${name}.weight`); at += headDim) {
        part.set(this.#norm(`${block}.${name}`, part.slice(at, at + headDim)), at);
      }
    }
    return parts;
  }

  /** Rotates pairs of elements of each head by the position times their frequency. */
  #turn(layer: number, x: Vector, position: number): void {
    const { halfSplit, magnitude } = this.#traits;
    const frequencies = this.#traits.frequencies(layer);
    for (let start = 0; start < x.length; start += this.#sizes.headDim) {
      for (const [pair, frequency] of frequencies.entries()) {
        const first = start + (halfSplit ? pair : 2 * pair);
        const second = first + (halfSplit ? frequencies.length : 1);
        const [a, b] = [x[first] as number, x[second] as number];
        const [cos, sin] = [Math.cos(position * frequency), Math.sin(position * frequency)];
        x[first] = (a * cos - b * sin) * magnitude;
        x[second] = (a * sin + b * cos) * magnitude;
      }
    }
  }

  #attend(layer: number, q: Vector, keys: readonly Vector[], values: readonly Vector[]): Vector {
    const { heads, kvHeads, headDim } = this.#sizes;
    const { attentionScale, attentionCap } = this.#traits;
    const from = Math.max(0, keys.length - this.#traits.window(layer));
    const mixed = new Float64Array(heads * headDim);
    for (let head = 0; head < heads; head++) {
      const at = Math.floor(head / (heads / kvHeads)) * headDim;
      const own = q.subarray(head * headDim, (head + 1) * headDim);
      const raw = Float64Array.from(keys.slice(from), (key) => dot(own, key, at) * attentionScale);
      const scores = [...capped(raw, attentionCap)];
      const value = (index: number, element: number) => values[from + index]?.[at + element] as number;
      mixed.set(attended(scores, value, headDim), head * headDim);
    }
    return mixed;
  }

  #feed(block: string, h: Vector): Vector {
    const activation = activations[this.#traits.activation];
    const up = this.#linear(`${block}.ffn_up`, h);
    const inner = this.#get(`${block}.ffn_down.weight`).length / h.length;
    if (this.#has(`${block}.ffn_gate.weight`)) {
      return this.#linear(`${block}.ffn_down`, by(this.#linear(`${block}.ffn_gate`, h).map(activation), up));
    }
    if (up.length === inner) return this.#linear(`${block}.ffn_down`, up.map(activation));
    return this.#linear(`${block}.ffn_down`, by(up.slice(0, inner).map(activation), up.slice(inner)));
  }
}

/** All tensors of a file in float64. */
export async function readNumbers(file: GgufFile): Promise<Map<string, Vector>> {
  const weights = new Map<string, Vector>();
  for (const info of file.tensors.values()) {
    weights.set(info.name, numbersOf(info.type, await tensorBytes(file, info)));
  }
  return weights;
}

function numbersOf(type: string, bytes: Uint8Array): Vector {
  if ((blockTypes as readonly string[]).includes(type)) return decodeBlocks(type as BlockType, bytes);
  if (type === 'F32') return Float64Array.from(new Float32Array(bytes.buffer));
  const words = new Uint16Array(bytes.buffer);
  if (type !== 'F16' && type !== 'BF16') throw new Error(`no oracle for ${type}`);
  return Float64Array.from(words, type === 'F16' ? halfToNumber : bfloatToNumber);
}

/** cap · tanh(x / cap), where there is a cap. */
function capped(x: Vector, cap: number): Vector {
  return cap === 0 ? x : x.map((value) => cap * Math.tanh(value / cap));
}

function traitsOf(
  metadata: ModelMetadata,
  sizes: Sizes,
  weights: ReadonlyMap<string, Vector>,
  context: number,
): Traits {
  const architecture = metadata.string('general.architecture');
  const number = (name: string, fallback: number) => metadata.number(`${architecture}.${name}`, fallback);
  const dim = metadata.count(`${architecture}.embedding_length`);
  const isGemma = architecture.startsWith('gemma');
  const window = isGemma ? number('attention.sliding_window', 4096) : Number.POSITIVE_INFINITY;
  const period = number('attention.sliding_window_pattern', architecture === 'gemma2' ? 2 : 6);
  const isLocal = (layer: number) => isGemma && layer % period < period - 1;
  const rope = oracleFrequencies({ metadata, architecture, headDim: sizes.headDim, weights, context });
  const largest = architecture === 'gemma2' ? 46 : 62;
  const scaleOf = isGemma && sizes.layers === largest ? dim / sizes.heads : sizes.headDim;
  const norm = architecture === 'gpt2' ? 'layer_norm_epsilon' : 'layer_norm_rms_epsilon';
  return {
    activation: isGemma || architecture === 'gpt2' ? 'geluTanh' : 'silu',
    halfSplit: !['llama', 'smollm3'].includes(architecture),
    eps: number(`attention.${norm}`, 1e-5),
    embeddingScale: isGemma ? Math.sqrt(dim) : 1,
    attentionScale: 1 / Math.sqrt(scaleOf),
    attentionCap: architecture === 'gemma2' ? number('attn_logit_softcapping', 50) : 0,
    logitCap: isGemma ? number('final_logit_softcapping', architecture === 'gemma2' ? 30 : 0) : 0,
    window: (layer) => (isLocal(layer) ? window : Number.POSITIVE_INFINITY),
    frequencies: (layer) => {
      if (architecture === 'smollm3' && layer % 4 === 3) return [];
      return architecture === 'gemma3' && isLocal(layer) ? rope.local : rope.global;
    },
    magnitude: rope.magnitude,
  };
}
