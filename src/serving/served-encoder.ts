// Serves an encoder: texts of about one length are computed together. Owns programs and weights.
import { TesseraeError } from '../base/errors.js';
import { type EncoderParts, EncoderPrograms } from '../forward/encoder-programs.js';
import { forEachItem } from './batch.js';
import { PooledStates } from './pooling.js';
import type { EmbedRun, ServedModel } from './served-model.js';

/** Enough that one program is filled and emptied while the other computes. */
const groupsAtOnce = 2;

export class ServedEncoder implements ServedModel {
  readonly #parts: EncoderParts;
  readonly #programs: EncoderPrograms;

  constructor(parts: EncoderParts) {
    this.#parts = parts;
    this.#programs = new EncoderPrograms(parts);
  }

  get lanes(): number {
    return this.#parts.compute.threads;
  }

  decoder(op: string): never {
    const message = `a model of architecture ${this.#parts.config.architecture} gives embeddings only`;
    throw new TesseraeError('ERR_UNSUPPORTED', message, { op });
  }

  async embed<Text>(texts: readonly Text[], run: EmbedRun<Text>): Promise<Float32Array[]> {
    const { encode, pooling, signal, onProgress } = run;
    const { config } = this.#parts;
    const all = await forEachItem(texts, { op: 'embed', lanes: this.lanes, signal }, encode);
    const vectors = new Array<Float32Array>(all.length);
    let done = 0;
    await forEachItem(EncoderPrograms.groups(all), { op: 'embed', lanes: groupsAtOnce, signal }, (group, stop) =>
      this.#programs.forward(all, group, stop, (index, rows) => {
        const pooled = new PooledStates(config.dim, rows.length / config.dim, pooling);
        pooled.add(rows);
        vectors[index] = pooled.vector();
        onProgress?.({ done: ++done, total: all.length });
      }),
    );
    return vectors;
  }

  dispose(): void {
    const { weights, constants } = this.#parts;
    this.#programs.dispose();
    for (const tensor of [...weights.values(), ...constants.values()]) tensor.dispose();
  }
}
