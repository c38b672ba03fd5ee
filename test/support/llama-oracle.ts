// The llama architecture in float64 and plain loops, one token after the other: the oracle of the model tests. Takes
// nothing from the library but the reader of its files.
import { openGguf } from '../../src/model/gguf/reader.js';
import { halfToNumber } from '../../src/tensor/half.js';

type Vector = Float64Array;

interface Sizes {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ropeDim: number;
  readonly ropeBase: number;
  readonly eps: number;
}

/** What a sequence of tokens gives: for each of them a vector. */
export interface OracleStates {
  readonly hidden: Vector[];
  readonly logits: Vector[];
}

export class LlamaOracle {
  readonly #weights: ReadonlyMap<string, Vector>;
  readonly #sizes: Sizes;

  private constructor(weights: ReadonlyMap<string, Vector>, sizes: Sizes) {
    this.#weights = weights;
    this.#sizes = sizes;
  }

  static async load(path: string): Promise<LlamaOracle> {
    await using file = await openGguf(path);
    const { metadata } = file;
    const weights = new Map<string, Vector>();
    for (const info of file.tensors.values()) {
      const bytes = new Uint8Array(info.sizeBytes);
      await file.readTensorInto(info, bytes);
      const isHalf = info.type === 'F16';
      const values = isHalf ? new Uint16Array(bytes.buffer) : new Float32Array(bytes.buffer);
      weights.set(info.name, Float64Array.from(values, isHalf ? halfToNumber : (value) => value));
    }
    const heads = metadata.count('llama.attention.head_count');
    const headDim = metadata.count('llama.attention.key_length', metadata.count('llama.embedding_length') / heads);
    return new LlamaOracle(weights, {
      layers: metadata.count('llama.block_count'),
      heads,
      kvHeads: metadata.count('llama.attention.head_count_kv'),
      headDim,
      ropeDim: metadata.count('llama.rope.dimension_count', headDim),
      ropeBase: metadata.number('llama.rope.freq_base'),
      eps: metadata.number('llama.attention.layer_norm_rms_epsilon'),
    });
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

  /** The likeliest tokens after a prompt, each in its turn. */
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
    const { layers, heads, kvHeads, headDim, eps } = this.#sizes;
    const w = (name: string) => this.#weights.get(`${name}.weight`) as Vector;
    const embedding = w('token_embd');
    const output = this.#weights.get('output.weight') ?? embedding;
    const dim = w('output_norm').length;
    const keys: Vector[][] = Array.from({ length: layers }, () => []);
    const values: Vector[][] = Array.from({ length: layers }, () => []);
    let position = 0;
    return (id) => {
      let x = embedding.slice(id * dim, (id + 1) * dim);
      for (let layer = 0; layer < layers; layer++) {
        const part = (name: string) => w(`blk.${layer}.${name}`);
        let h = rmsNorm(x, part('attn_norm'), eps);
        const q = this.#rotate(times(part('attn_q'), h), position);
        (keys[layer] as Vector[]).push(this.#rotate(times(part('attn_k'), h), position));
        (values[layer] as Vector[]).push(times(part('attn_v'), h));
        const mixed = new Float64Array(heads * headDim);
        for (let head = 0; head < heads; head++) {
          const kvStart = Math.floor(head / (heads / kvHeads)) * headDim;
          const own = q.subarray(head * headDim, (head + 1) * headDim);
          const scores = (keys[layer] as Vector[]).map((key) => dot(own, key, kvStart) / Math.sqrt(headDim));
          const most = Math.max(...scores);
          const sum = scores.reduce((total, score) => total + Math.exp(score - most), 0);
          scores.forEach((score, token) => {
            const value = values[layer]?.[token] as Vector;
            const share = Math.exp(score - most) / sum;
            for (let i = 0; i < headDim; i++) add(mixed, head * headDim + i, share * (value[kvStart + i] as number));
          });
        }
        const attended = times(part('attn_output'), mixed);
        x = x.map((value, i) => value + (attended[i] as number));
        h = rmsNorm(x, part('ffn_norm'), eps);
        const up = times(part('ffn_up'), h);
        const gated = times(part('ffn_gate'), h).map((gate, i) => (gate / (1 + Math.exp(-gate))) * (up[i] as number));
        const down = times(part('ffn_down'), gated);
        x = x.map((value, i) => value + (down[i] as number));
      }
      position++;
      const hidden = rmsNorm(x, w('output_norm'), eps);
      return { hidden, logits: times(output, hidden) };
    };
  }

  /** Turns neighbouring elements of each head by the position times their frequency. */
  #rotate(x: Vector, position: number): Vector {
    const { headDim, ropeDim, ropeBase } = this.#sizes;
    const divisors = this.#weights.get('rope_freqs.weight');
    for (let start = 0; start < x.length; start += headDim) {
      for (let i = 0; i < ropeDim; i += 2) {
        const angle = (position * ropeBase ** (-i / ropeDim)) / (divisors?.[i / 2] ?? 1);
        const [a, b] = [x[start + i] as number, x[start + i + 1] as number];
        x[start + i] = a * Math.cos(angle) - b * Math.sin(angle);
        x[start + i + 1] = a * Math.sin(angle) + b * Math.cos(angle);
      }
    }
    return x;
  }
}

function add(x: Vector, index: number, value: number): void {
  x[index] = (x[index] as number) + value;
}

/** The dot product of x and as many elements of y from `start` on. */
function dot(x: Vector, y: Vector, start: number): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[start + i] as number);
  return sum;
}

/** A matrix [rows, x.length] times a column. */
function times(matrix: Vector, x: Vector): Vector {
  return Float64Array.from({ length: matrix.length / x.length }, (_, row) => dot(x, matrix, row * x.length));
}

function rmsNorm(x: Vector, weight: Vector, eps: number): Vector {
  const scale = 1 / Math.sqrt(dot(x, x, 0) / x.length + eps);
  return x.map((value, i) => value * scale * (weight[i] as number));
}
