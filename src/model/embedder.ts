// Embeds the texts of one call: tokenized, cut where that is asked for, and handed to what serves the model. Used by Model.
import { checkPromptFits, isArrayOfIds, type Prompt, tokensOf } from '../generation/prompt.js';
import { type Turn, type TurnOptions, turnOf } from '../generation/turn-options.js';
import type { ServedModel } from '../serving/served-model.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { type EmbedOptions, type EmbedSettings, embedSettingsOf } from './embed-options.js';
import type { ModelInfo } from './model-info.js';

export interface EmbedderParts {
  readonly served: ServedModel;
  readonly tokenizer: Tokenizer;
  readonly info: ModelInfo;
  readonly options: EmbedOptions & TurnOptions;
  readonly op: string;
}

export interface Embedded {
  readonly value: Float32Array;
  /** How many of the text's tokens were cut off. */
  readonly truncatedTokens: number;
}

/** Whether this is one text, or its ids, rather than many. */
export function isOneText(texts: Prompt | readonly Prompt[]): texts is Prompt {
  return typeof texts === 'string' || isArrayOfIds(texts);
}

export class Embedder {
  readonly #parts: EmbedderParts;
  readonly #settings: EmbedSettings;
  readonly #turn: Turn;

  /** @throws TesseraeError ERR_ARGUMENT */
  constructor(parts: EmbedderParts) {
    this.#parts = parts;
    this.#settings = embedSettingsOf(parts.options, parts.info, parts.op);
    this.#turn = turnOf(parts.options, parts.op, performance.now());
  }

  /** @param isPatient it waits for room in the queue */
  async embed(text: Prompt, signal: AbortSignal | undefined, index: number, isPatient: boolean): Promise<Embedded> {
    const { served, tokenizer, info, op } = this.#parts;
    const { pooling, truncates, onTruncated } = this.#settings;
    if (isPatient) await served.roomInQueue(signal as AbortSignal);
    // Texts to embed are whole: they end as the model expects it.
    const addEos = tokenizer.addsEos;
    const all = await tokensOf(text, tokenizer, info.vocabulary, { op, addEos, signal });
    const kept = truncates ? Math.min(all.length, info.sessionCapacity) : all.length;
    const ids = kept === all.length ? all : cut(all, kept, addEos && typeof text === 'string');
    checkPromptFits(ids, info.sessionCapacity, op);
    if (kept < all.length) onTruncated?.({ index, tokens: all.length, kept });
    const value = await served.embed({ ids, pooling, turn: this.#turn, signal, isPatient });
    return { value, truncatedTokens: all.length - kept };
  }
}

/** The first ids; the last one stays where it ends the text for the model. */
function cut(ids: readonly number[], kept: number, keepsEnd: boolean): number[] {
  const cutIds = ids.slice(0, kept);
  if (keepsEnd) cutIds[kept - 1] = ids.at(-1) as number;
  return cutIds;
}
