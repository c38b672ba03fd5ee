// llama.cpp in a process of its own, by its C interface: tokens, logits, embeddings and times of a model file. Knows nothing
// of tesserae. Used by the parity tests, and by the model bench, which stops the process between its turns.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LineCommand, LineProcess } from '../processes/line-process.js';

export interface LlamaModel {
  readonly vocabulary: number;
  /** Of an embedding. */
  readonly dim: number;
  readonly parameters: number;
  /** -1 where the model has none. */
  readonly bos: number;
  readonly eos: number;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  /** All tokens that end a generation. */
  readonly ends: readonly number[];
  readonly controls: readonly number[];
}

export interface LlamaLoadOptions {
  /** Lets llama.cpp repack weights for this CPU, as it does by default. */
  readonly repack?: boolean | undefined;
  /** For the tokenizer alone: a file without weights will do. */
  readonly vocabularyOnly?: boolean | undefined;
}

export const llamaPoolings = { unspecified: -1, none: 0, mean: 1, cls: 2, last: 3 } as const;
const cacheTypes = { f32: 0, f16: 1, q8_0: 8 } as const;

export interface LlamaContextOptions {
  readonly positions: number;
  /** Tokens that are computed at once; 512 by default. */
  readonly batch?: number | undefined;
  readonly threads?: number | undefined;
  readonly flash?: boolean | undefined;
  readonly cacheType?: keyof typeof cacheTypes | undefined;
  /** Makes {@link LlamaProcess.embed} possible. */
  readonly embeddings?: boolean | undefined;
  readonly pooling?: keyof typeof llamaPoolings | undefined;
}

export interface LlamaGeneration {
  readonly prefillMs: number;
  /** Of all steps. */
  readonly decodeMs: number;
  readonly tokens: readonly number[];
}

const defaultThreads = 2;
const defaultBatch = 512;

export class LlamaProcess {
  /** Version, and the features of the CPU that its library was chosen for. */
  readonly about: string;
  readonly #process: LineProcess;
  readonly #folder: string;

  private constructor(about: string, process: LineProcess) {
    this.about = about;
    this.#process = process;
    this.#folder = mkdtempSync(join(tmpdir(), 'tesserae-llama-'));
  }

  /** @throws Error when the library is not the one that the probe knows */
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

  /** Runs the process while `work` lasts; it is stopped before and after. */
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

  /** Loads a model in place of the last one, whose contexts are closed. */
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
      ends: tokensOf(got.get('ends')),
      controls: tokensOf(got.get('controls')),
    };
  }

  /** Makes a context of the loaded model, in place of one of the same name. */
  async context(name: string, options: LlamaContextOptions): Promise<void> {
    const { positions, batch = defaultBatch, threads = defaultThreads, flash = false, embeddings = false } = options;
    const { cacheType = 'f32', pooling = 'unspecified' } = options;
    const types = { cacheType: cacheTypes[cacheType], pooling: llamaPoolings[pooling] };
    await this.#ask('context', { name, positions, batch, threads, flash, embeddings, ...types });
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
    return tokensOf((await this.#ask('tokenize', { text: hex(text), addSpecial, parseSpecial })).get('tokens'));
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

  /** `count` tokens after a prompt, each the likeliest; end tokens do not end it. */
  async greedy(name: string, tokens: readonly number[], count: number): Promise<number[]> {
    return tokensOf((await this.#ask('greedy', { name, tokens: tokens.join(), count })).get('tokens'));
  }

  /** The sum of the negative log likelihoods of all tokens but the first, in nats. */
  async losses(name: string, tokens: readonly number[]): Promise<number> {
    return Number((await this.#ask('losses', { name, tokens: tokens.join() })).get('nll'));
  }

  /** The prompt and `count` steps after it; the tokens are the prompt's own successor, then one of each step. */
  async generate(name: string, tokens: readonly number[], count: number): Promise<LlamaGeneration> {
    const answer = await this.#ask('generate', { name, tokens: tokens.join(), count });
    return {
      prefillMs: Number(answer.get('prefillMs')),
      decodeMs: Number(answer.get('decodeMs')),
      tokens: tokensOf(answer.get('tokens')),
    };
  }

  async #bulk(command: string, words: Readonly<Record<string, unknown>>): Promise<Float32Array> {
    const file = join(this.#folder, 'numbers.f32');
    await this.#ask(command, { ...words, file: hex(file) });
    const bytes = readFileSync(file);
    rmSync(file);
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  }

  async #ask(command: string, words: Readonly<Record<string, unknown>>): Promise<Map<string, string>> {
    const given = Object.entries(words).map(
      ([name, value]) => `${name}=${typeof value === 'boolean' ? +value : value}`,
    );
    const answer = await this.#process.ask([command, ...given].join(' '));
    return new Map(answer.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
  }
}

function tokensOf(list: string | undefined): number[] {
  return list === undefined || list === '' ? [] : list.split(',').map(Number);
}

function hex(text: string): string {
  return Buffer.from(text).toString('hex');
}
