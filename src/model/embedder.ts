// Embeds the texts of one call: tokenized, cut where that is asked for, and handed to what serves the model. Used by Model.
import { checkIds, checkPromptFits, isArrayOfIds, type Prompt, tokensOf } from '../generation/prompt.js';
import { checkDeadline, type Turn } from '../generation/turn-options.js';
import type { ModelRecorder } from '../metrics/model-recorder.js';
import type { ServedModel } from '../serving/served-model.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { type EmbedOptions, type EmbedSettings, embedSettingsOf, mostCounted } from './embed-options.js';
import type { ModelInfo } from './model-info.js';

export interface EmbedderParts {
  readonly served: ServedModel;
  readonly tokenizer: Tokenizer;
  readonly info: ModelInfo;
  readonly recorder: ModelRecorder;
  readonly options: EmbedOptions;
  readonly op: string;
  /** Whether the caller wants to know how many tokens were cut off. */
  readonly counts: boolean;
}

/** One text of a call. */
export interface EmbedRun {
  readonly signal: AbortSignal | undefined;
  readonly index: number;
  readonly turn: Turn;
  /** It waits for room in the queue. */
  readonly isPatient: boolean;
}

export interface Embedded {
  readonly value: Float32Array;
  /** How many of the text's tokens were cut off, as far as they were counted: see {@link Truncation}. */
  readonly truncatedTokens: number;
}

/** Whether this is one text, or its ids, rather than many. */
export function isOneText(texts: Prompt | readonly Prompt[]): texts is Prompt {
  return typeof texts === 'string' || isArrayOfIds(texts);
}

export class Embedder {
  readonly #parts: EmbedderParts;
  readonly #settings: EmbedSettings;

  /** @throws TesseraeError ERR_ARGUMENT */
  constructor(parts: EmbedderParts) {
    this.#parts = parts;
    this.#settings = embedSettingsOf(parts.options, parts.info, parts.op);
  }

  async embed(text: Prompt, run: EmbedRun): Promise<Embedded> {
    try {
      return await this.#embed(text, run);
    } catch (error) {
      this.#parts.recorder.failed(error);
      throw error;
    }
  }

  async #embed(text: Prompt, { signal, index, turn, isPatient }: EmbedRun): Promise<Embedded> {
    const { served, op } = this.#parts;
    const askedAt = performance.now();
    const { pooling, onTruncated } = this.#settings;
    const { ids, tokens } = await this.#tokens(text, signal);
    const kept = ids.length;
    // A callback that rejects fails its text, and never the process.
    if (kept < tokens) await onTruncated?.({ index, tokens, kept });
    checkDeadline(turn, op);
    const value = await served.embed({ ids, pooling, turn, askedAt, signal, isPatient });
    return { value, truncatedTokens: tokens - kept };
  }

  /** The ids to embed, and how many tokens the text has. */
  async #tokens(text: Prompt, signal: AbortSignal | undefined): Promise<{ ids: readonly number[]; tokens: number }> {
    const { tokenizer, info, op } = this.#parts;
    const { sessionCapacity: most, vocabulary } = info;
    const { truncates } = this.#settings;
    // Texts to embed are whole: they end as the model expects it.
    const addEos = tokenizer.addsEos;
    if (typeof text !== 'string' && truncates) {
      const ids = checkIds(text, vocabulary, { op, cutAt: most });
      checkPromptFits(ids, most, op);
      return { ids, tokens: text.length };
    }
    const ends = truncates ? { limit: this.#limit } : { most };
    const all = await tokensOf(text, tokenizer, vocabulary, { op, addEos, signal, ...ends });
    const ids = truncates && all.length > most ? cut(all, most, tokenizer) : all;
    checkPromptFits(ids, most, op);
    return { ids, tokens: all.length };
  }

  /** How many tokens of a text that may be cut are looked at: one more than fits shows that it is. */
  get #limit(): number {
    const least = this.#parts.info.sessionCapacity + 1;
    const counts = this.#parts.counts || this.#settings.onTruncated !== undefined;
    return counts ? Math.max(least, mostCounted) : least;
  }
}

/** The first ids; the last one is that which ends texts for the model, where it expects one. */
function cut(ids: readonly number[], kept: number, tokenizer: Tokenizer): number[] {
  const cutIds = ids.slice(0, kept);
  if (tokenizer.addsEos) cutIds[kept - 1] = tokenizer.encode('', { addEos: true })[0] as number;
  return cutIds;
}
