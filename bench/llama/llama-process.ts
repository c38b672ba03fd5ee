// llama.cpp in a process of its own, called through its C interface: tokens, logits, embeddings and times of a model
// file. Used by the parity tests, and by the suite model, which stops the process between its turns.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LineCommand, LineProcess, takeFloats } from '../processes/line-process.js';

export interface LlamaModel {
  readonly vocabulary: number;
  /** The length of an embedding. */
  readonly dim: number;
  readonly parameters: number;
  /** -1 where the model has none. */
  readonly bos: number;
  readonly eos: number;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  /** All tokens that end a generation, and all control tokens. */
  readonly ends: readonly number[];
  readonly controls: readonly number[];
}

export interface LlamaLoadOptions {
  /** Lets llama.cpp repack weights for this CPU, as it does by default. */
  readonly repack?: boolean | undefined;
  /** Loads the tokenizer alone: the file needs no weights. */
  readonly vocabularyOnly?: boolean | undefined;
}

export const llamaPoolings = { unspecified: -1, none: 0, mean: 1, cls: 2, last: 3 } as const;
const cacheTypes = { f32: 0, f16: 1, q8_0: 8 } as const;

export interface LlamaContextOptions {
  /** Of all sequences together. */
  readonly positions: number;
  /** How many sequences have positions of their own; 1 by default. */
  readonly sequences?: number | undefined;
  /** How many tokens are computed at once; 512 by default. */
  readonly batch?: number | undefined;
  readonly threads?: number | undefined;
  readonly flash?: boolean | undefined;
  readonly cacheType?: keyof typeof cacheTypes | undefined;
  /** Needed for {@link LlamaProcess.embed}. */
  readonly embeddings?: boolean | undefined;
  readonly pooling?: keyof typeof llamaPoolings | undefined;
}

export interface LlamaGeneration {
  readonly prefillMs: number;
  /** The sum over all steps. */
  readonly decodeMs: number;
  readonly tokens: readonly number[];
}

/** Prompts of one length, and what is computed after them: a token of each sequence in every step. */
export interface LlamaLoad {
  readonly prompts: readonly (readonly number[])[];
  readonly followers: readonly (readonly number[])[];
}

export interface LlamaServed {
  readonly prefillMs: number;
  /** Of each step. */
  readonly stepMs: readonly number[];
}

const defaultThreads = 2;
const defaultBatch = 512;

export class LlamaProcess {
  /** The version, and the CPU features for which llama.cpp chose its library. */
  readonly about: string;
  readonly #process: LineProcess;
  readonly #folder: string;

  private constructor(about: string, process: LineProcess) {
    this.about = about;
    this.#process = process;
    this.#folder = mkdtempSync(join(tmpdir(), 'tesserae-llama-'));
  }

  /** Starts the process. @throws Error when the library is not of the release that the probe was written for */
  static async open(command: LineCommand): Promise<LlamaProcess> {
    const process = new LineProcess(command);
    try {
      return new LlamaProcess((await process.ask('open')).join(' '), process);
    } catch (error) {
      await process.close();
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Lets the process run during `work`, and stops it afterwards. */
  async awake<T>(work: () => Promise<T>): Promise<T> {
    return this.#process.awake(work);
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  async close(): Promise<void> {
    await this.#process.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Loads a model in place of the last one, and closes the contexts of that. */
  async load(path: string, { repack = true, vocabularyOnly = false }: LlamaLoadOptions = {}): Promise<LlamaModel> {
    const got = await this.#ask('load', { path: hex(path), repack, vocabularyOnly });
    const number = (name: string) => Number(got.get(name));
    return {
      vocabulary: number('vocabulary'),
      dim: number('dim'),
      parameters: number('parameters'),
      bos: number('bos'),
      eos: number('eos'),
      addsBos: number('addsBos') === 1,
      addsEos: number('addsEos') === 1,
      ends: numbersOf(got.get('ends')),
      controls: numbersOf(got.get('controls')),
    };
  }

  /** Creates a context of the loaded model, in place of one of the same name. */
  async context(name: string, options: LlamaContextOptions): Promise<void> {
    const { positions, batch = defaultBatch, threads = defaultThreads, flash = false, embeddings = false } = options;
    const { sequences = 1 } = options;
    const { cacheType = 'f32', pooling = 'unspecified' } = options;
    const types = { cacheType: cacheTypes[cacheType], pooling: llamaPoolings[pooling] };
    await this.#ask('context', { name, positions, sequences, batch, threads, flash, embeddings, ...types });
  }

  async closeContext(name: string): Promise<void> {
    await this.#ask('close', { name });
  }

  async tokenize(
    text: string,
    {
      addSpecial = false,
      parseSpecial = false,
    }: { readonly addSpecial?: boolean; readonly parseSpecial?: boolean } = {},
  ): Promise<number[]> {
    return numbersOf((await this.#ask('tokenize', { text: hex(text), addSpecial, parseSpecial })).get('tokens'));
  }

  async detokenize(tokens: readonly number[], special = false): Promise<Buffer> {
    return Buffer.from((await this.#ask('detokenize', { tokens: tokens.join(), special })).get('text') ?? '', 'hex');
  }

  /** The bytes of a token. */
  async piece(token: number, special = false): Promise<Buffer> {
    return Buffer.from((await this.#ask('piece', { token, special })).get('text') ?? '', 'hex');
  }

  /** f32 [tokens, vocabulary], as `model.logits` gives them. */
  async logits(name: string, tokens: readonly number[]): Promise<Float32Array> {
    return this.#bulk('logits', { name, tokens: tokens.join() });
  }

  /** Pooled f32 [dim], or [tokens, dim] in a context of pooling `none`. */
  async embed(name: string, tokens: readonly number[]): Promise<Float32Array> {
    return this.#bulk('embed', { name, tokens: tokens.join() });
  }

  /** `count` tokens after a prompt, each the most likely one. Goes on after end tokens. */
  async greedy(name: string, tokens: readonly number[], count: number): Promise<number[]> {
    return numbersOf((await this.#ask('greedy', { name, tokens: tokens.join(), count })).get('tokens'));
  }

  /** The sum of the negative log likelihoods of all tokens but the first, in nats. */
  async losses(name: string, tokens: readonly number[]): Promise<number> {
    return Number((await this.#ask('losses', { name, tokens: tokens.join() })).get('nll'));
  }

  /**
   * Computes the prompt and `count` steps after it. The tokens are the one that follows the prompt, then one of each
   * step.
   */
  async generate(name: string, tokens: readonly number[], count: number): Promise<LlamaGeneration> {
    const answer = await this.#ask('generate', { name, tokens: tokens.join(), count });
    return {
      prefillMs: Number(answer.get('prefillMs')),
      decodeMs: Number(answer.get('decodeMs')),
      tokens: numbersOf(answer.get('tokens')),
    };
  }

  /** Computes all sequences at once, in the way of llama-batched-bench: prompts first, then steps of one row for each. */
  async serve(name: string, { prompts, followers }: LlamaLoad): Promise<LlamaServed> {
    const sequences = prompts.length;
    const answer = await this.#ask('serve', {
      name,
      sequences,
      prompts: prompts.flat().join(),
      followers: followers.flat().join(),
    });
    return { prefillMs: Number(answer.get('prefillMs')), stepMs: numbersOf(answer.get('stepMs')) };
  }

  /** A request whose answer is written to a file. */
  async #bulk(command: string, words: Readonly<Record<string, unknown>>): Promise<Float32Array> {
    const file = join(this.#folder, 'numbers.f32');
    await this.#ask(command, { ...words, file: hex(file) });
    return takeFloats(file);
  }

  async #ask(command: string, words: Readonly<Record<string, unknown>>): Promise<Map<string, string>> {
    const given = Object.entries(words).map(
      ([name, value]) => `${name}=${typeof value === 'boolean' ? +value : value}`,
    );
    const answer = await this.#process.ask([command, ...given].join(' '));
    return new Map(answer.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
  }
}

function numbersOf(list: string | undefined): number[] {
  return list === undefined || list === '' ? [] : list.split(',').map(Number);
}

function hex(text: string): string {
  return Buffer.from(text).toString('hex');
}
