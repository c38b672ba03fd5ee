// Serves a decoder: lends sequences to generations and embeddings, each its own, and owns programs and weights.
import type { DecoderParts } from '../forward/decoder-programs.js';
import { Sequence } from '../forward/sequence.js';
import type { GenerationResult, Piece } from '../generation/generation-result.js';
import { forEachItem } from './batch.js';
import { PooledStates } from './pooling.js';
import { type RequestRun, runRequest } from './run-request.js';
import type { DecoderService, EmbedRun, ServedModel } from './served-model.js';

export class ServedDecoder implements ServedModel, DecoderService {
  readonly parts: DecoderParts;
  readonly #lent = new Set<Sequence>();

  constructor(parts: DecoderParts) {
    this.parts = parts;
  }

  get lanes(): number {
    return this.parts.compute.threads;
  }

  decoder(): this {
    return this;
  }

  async withSequence<T>(use: (sequence: Sequence) => Promise<T>): Promise<T> {
    const sequence = this.#borrow();
    try {
      return await use(sequence);
    } finally {
      this.#giveBack(sequence);
    }
  }

  async *generate(run: Omit<RequestRun, 'sequence'>): AsyncGenerator<Piece, GenerationResult, void> {
    const sequence = this.#borrow();
    try {
      return yield* runRequest({ ...run, sequence });
    } finally {
      this.#giveBack(sequence);
    }
  }

  async embed<Text>(texts: readonly Text[], run: EmbedRun<Text>): Promise<Float32Array[]> {
    const { encode, pooling, signal, onProgress } = run;
    return forEachItem(texts, { op: 'embed', lanes: this.lanes, signal, onProgress }, async (text, stop) => {
      const ids = await encode(text, stop);
      const pooled = new PooledStates(this.parts.config.dim, ids.length, pooling);
      const visit = (rows: Float32Array) => pooled.add(rows);
      await this.withSequence((sequence) => sequence.forward({ ids, output: 'hidden', signal: stop, visit }));
      return pooled.vector();
    });
  }

  dispose(): void {
    const { programs, weights, constants } = this.parts;
    for (const sequence of this.#lent) sequence.dispose();
    programs.dispose();
    for (const tensor of [...weights.values(), ...constants.values()]) tensor.dispose();
  }

  #borrow(): Sequence {
    const sequence = new Sequence(this.parts);
    this.#lent.add(sequence);
    return sequence;
  }

  #giveBack(sequence: Sequence): void {
    this.#lent.delete(sequence);
    sequence.dispose();
  }
}
