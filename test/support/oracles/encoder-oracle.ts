// The oracle of the encoders BERT, Nomic's and Jina's: float64 and plain loops. Like the oracle of the decoders, it
// follows the tensors of the file, and uses nothing of the library but the reader.

import { openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import type { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { readNumbers } from './model-oracle.js';
import { activations, attended, by, dot, layerNorm, plus, times, type Vector } from './oracle-math.js';
import { oracleFrequencies } from './oracle-rope.js';

export class EncoderOracle {
  readonly #weights: ReadonlyMap<string, Vector>;
  readonly #metadata: ModelMetadata;
  readonly #architecture: string;

  private constructor(weights: ReadonlyMap<string, Vector>, metadata: ModelMetadata) {
    this.#weights = weights;
    this.#metadata = metadata;
    this.#architecture = metadata.string('general.architecture');
  }

  static async load(path: string): Promise<EncoderOracle> {
    await using file = await openGguf(path);
    return new EncoderOracle(await readNumbers(file), file.metadata);
  }

  /** The hidden states of all tokens. */
  states(ids: readonly number[]): Vector[] {
    const dim = this.#count('embedding_length');
    const row = (name: string, index: number) => this.#get(`${name}.weight`).slice(index * dim, (index + 1) * dim);
    const has = (name: string) => this.#weights.has(`${name}.weight`);
    let states = ids.map((id, position) => {
      const token = row('token_embd', id);
      const typed = has('token_types') ? plus(token, row('token_types', 0)) : token;
      return this.#norm('token_embd_norm', has('position_embd') ? plus(typed, row('position_embd', position)) : typed);
    });
    for (let layer = 0; layer < this.#count('block_count'); layer++) {
      const block = `blk.${layer}`;
      const mixed = this.#attend(block, states);
      states = states.map((x, token) => {
        let h = this.#norm(
          `${block}.attn_output_norm`,
          plus(this.#linear(`${block}.attn_output`, mixed[token] as Vector), x),
        );
        if (has(`${block}.attn_norm_2`)) h = this.#norm(`${block}.attn_norm_2`, plus(h, x));
        return this.#norm(`${block}.layer_output_norm`, plus(this.#feed(block, h), h));
      });
    }
    return states;
  }

  #count(name: string): number {
    return this.#metadata.count(`${this.#architecture}.${name}`);
  }

  #get(name: string): Vector {
    const weight = this.#weights.get(name);
    if (weight === undefined) throw new Error(`the file has no tensor ${name}`);
    return weight;
  }

  #linear(name: string, x: Vector): Vector {
    return plus(times(this.#get(`${name}.weight`), x), this.#weights.get(`${name}.bias`));
  }

  #norm(name: string, x: Vector): Vector {
    const eps = this.#metadata.number(`${this.#architecture}.attention.layer_norm_epsilon`);
    return layerNorm(x, this.#get(`${name}.weight`), this.#get(`${name}.bias`), eps);
  }

  #feed(block: string, h: Vector): Vector {
    const up = this.#linear(`${block}.ffn_up`, h);
    const activation = this.#architecture === 'nomic-bert' ? activations.silu : activations.gelu;
    const inner = this.#count('feed_forward_length');
    if (this.#weights.has(`${block}.ffn_gate.weight`)) {
      return this.#linear(`${block}.ffn_down`, by(this.#linear(`${block}.ffn_gate`, h).map(activation), up));
    }
    if (up.length === inner) return this.#linear(`${block}.ffn_down`, up.map(activation));
    return this.#linear(`${block}.ffn_down`, by(up.slice(0, inner).map(activation), up.slice(inner)));
  }

  #attend(block: string, states: readonly Vector[]): Vector[] {
    const heads = this.#count('attention.head_count');
    const parts = states.map((x, position) => this.#queries(block, x, position));
    const headDim = this.#count('embedding_length') / heads;
    return parts.map(([q], i) => {
      const mixed = new Float64Array(q.length);
      for (let head = 0; head < heads; head++) {
        const at = head * headDim;
        const own = q.slice(at, at + headDim);
        const slope = this.#slope(head, heads);
        const scores = parts.map(([, k], j) => dot(own, k, at) / Math.sqrt(headDim) - slope * Math.abs(i - j));
        mixed.set(
          attended(scores, (j, element) => parts[j]?.[2][at + element] as number, headDim),
          at,
        );
      }
      return mixed;
    });
  }

  /** ALiBi's slopes: a geometric sequence over the heads; heads beyond a power of two lie between the others. */
  #slope(head: number, heads: number): number {
    if (this.#architecture !== 'jina-bert-v2') return 0;
    const bias = this.#metadata.number('jina-bert-v2.attention.max_alibi_bias');
    let whole = 1;
    while (whole * 2 <= heads) whole *= 2;
    if (head < whole) return (2 ** (-bias / whole)) ** (head + 1);
    return (2 ** (-bias / 2 / whole)) ** (2 * (head - whole) + 1);
  }

  #queries(block: string, x: Vector, position: number): [Vector, Vector, Vector] {
    let parts: [Vector, Vector, Vector];
    if (this.#weights.has(`${block}.attn_qkv.weight`)) {
      const all = this.#linear(`${block}.attn_qkv`, x);
      const width = all.length / 3;
      parts = [all.slice(0, width), all.slice(width, 2 * width), all.slice(2 * width)];
    } else {
      parts = [
        this.#linear(`${block}.attn_q`, x),
        this.#linear(`${block}.attn_k`, x),
        this.#linear(`${block}.attn_v`, x),
      ];
    }
    const [q, k, v] = parts;
    const normed = (name: string, part: Vector) =>
      this.#weights.has(`${block}.${name}.weight`) ? this.#norm(`${block}.${name}`, part) : part;
    return [this.#turn(normed('attn_q_norm', q), position), this.#turn(normed('attn_k_norm', k), position), v];
  }

  #turn(x: Vector, position: number): Vector {
    if (this.#architecture !== 'nomic-bert') return x;
    const headDim = x.length / this.#count('attention.head_count');
    const { global: frequencies } = oracleFrequencies({
      metadata: this.#metadata,
      architecture: this.#architecture,
      headDim,
      weights: this.#weights,
      context: 0,
    });
    return x.map((value, index) => {
      const inHead = index % headDim;
      const half = frequencies.length;
      if (inHead >= 2 * half) return value;
      const angle = position * (frequencies[inHead % half] as number);
      const partner = x[inHead < half ? index + half : index - half] as number;
      return value * Math.cos(angle) + (inHead < half ? -partner : partner) * Math.sin(angle);
    });
  }
}
