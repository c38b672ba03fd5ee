// What an architecture states about its Hugging Face folders: which config.json is its own, which metadata the config
// gives, and what its tensors are called; with helpers for it. Reads no file: src/checkpoint/huggingface does.

import { JsonView } from '../base/json-view.js';
import type { MetadataValue } from '../metadata/value-types.js';

export interface HuggingFaceMapping {
  /** The values of `model_type` in config.json that name this architecture. */
  readonly modelTypes: readonly string[];
  /** Whether a config with one of these is of this architecture, where several share a `model_type`. */
  readonly accepts?: (config: JsonView) => boolean;
  /** The activations that the feed-forward layers may have, as a config spells them; others are refused. */
  readonly activations: readonly string[];
  /** Whether the embedding is also the output matrix where the config does not say. */
  readonly tiedByDefault?: boolean;
  /**
   * Adds the metadata that `readConfig` reads, from the config's own keys.
   * @param config of a vision model, its `text_config`
   * @throws TesseraeError ERR_MODEL_FILE for values that cannot be, ERR_UNSUPPORTED for what the architecture does not
   * compute
   */
  addMetadata(config: JsonView, metadata: MetadataBuilder): void;
  readonly tensorNames: TensorNames;
}

/** A tensor's name in GGUF, and how its elements in the folder differ from those in a GGUF file. */
export interface TensorRule {
  readonly name: string;
  /** The matrix is stored as [in, out]. */
  readonly transposed?: boolean;
  /** Added to each element of the vector. */
  readonly plus?: number;
}

/** GGUF names by the folder's names, both without the ending `.weight` or `.bias`. */
export type TensorRules = Readonly<Record<string, string | TensorRule>>;

export interface TensorNames {
  /** What all names may begin with: the attribute that holds the model in Hugging Face's class for a task. */
  readonly prefix: string;
  /** What precedes the number of a layer. */
  readonly layers: string;
  /** Tensors outside of the layers. */
  readonly model: TensorRules;
  /** Tensors of each layer, by the rest of the name after the number: `blk.<number>.` is put in front. */
  readonly layer: TensorRules;
  /** Whole names of tensors that are left out: derived tables, and heads that this library does not compute. */
  readonly ignored: RegExp;
}

/** The rule for a matrix that is stored as [in, out]. */
export function transposed(name: string): TensorRule {
  return { name, transposed: true };
}

/** The rule for a norm's weight that the folder stores less 1. */
export function plusOne(name: string): TensorRule {
  return { name, plus: 1 };
}

/** Collects metadata under the keys of GGUF. A key that begins with a dot gets the architecture's name in front. */
export class MetadataBuilder {
  readonly values = new Map<string, MetadataValue>();
  readonly #architecture: string;

  /** @param architecture as `general.architecture` spells it */
  constructor(architecture: string) {
    this.#architecture = architecture;
    this.string('general.architecture', architecture);
  }

  /** An integer that 32 bits hold; nothing where the value is absent. */
  count(key: string, value: JsonView): void {
    if (value.isAbsent) return;
    const number = value.number();
    if (!Number.isInteger(number) || number < 0 || number >= 2 ** 32)
      throw value.error(`is ${number}, which is no size`);
    this.#set(key, { type: 'u32', value: number });
  }

  /** A number; nothing where the value is absent. */
  number(key: string, value: JsonView | number): void {
    if (typeof value !== 'number' && value.isAbsent) return;
    this.#set(key, { type: 'f64', value: typeof value === 'number' ? value : value.number() });
  }

  string(key: string, value: string): void {
    this.#set(key, { type: 'string', value });
  }

  flag(key: string, value: boolean): void {
    this.#set(key, { type: 'bool', value });
  }

  has(key: string): boolean {
    return this.values.has(this.#nameOf(key));
  }

  #nameOf(key: string): string {
    return key.startsWith('.') ? this.#architecture + key : key;
  }

  #set(key: string, value: MetadataValue): void {
    this.values.set(this.#nameOf(key), value);
  }
}

/** The first member of these names that is there; the first of all, absent, where none is. */
export function firstPresent(view: JsonView, ...names: string[]): JsonView {
  return view.at(names.find((name) => !view.at(name).isAbsent) ?? (names[0] as string));
}

/** A config with values for members that it leaves out or sets to null. */
export function withDefaults(config: JsonView, defaults: Readonly<Record<string, unknown>>): JsonView {
  const given = Object.entries(config.rawObject()).filter(([, value]) => value !== null);
  return new JsonView({ ...defaults, ...Object.fromEntries(given) }, config.place);
}

/** The sizes under the names that most configs have for them. */
export function addSizes(config: JsonView, metadata: MetadataBuilder): void {
  metadata.count('.context_length', config.at('max_position_embeddings'));
  metadata.count('.embedding_length', config.at('hidden_size'));
  metadata.count('.block_count', config.at('num_hidden_layers'));
  metadata.count('.feed_forward_length', config.at('intermediate_size'));
  metadata.count('.attention.head_count', config.at('num_attention_heads'));
}

/** @throws TesseraeError ERR_UNSUPPORTED where the config sets a flag otherwise than the architecture computes */
export function requireFlag(config: JsonView, name: string, computed: boolean): void {
  const flag = config.at(name);
  if (flag.boolean(computed) !== computed) throw flag.unsupported(String(!computed));
}
