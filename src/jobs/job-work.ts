// What the kinds of jobs compute: from a job's data to a result that is plain JSON. A result contains no times, so that two
// attempts with a seed, or without sampling, give the same bytes. Called by job-runner.ts.
import { TesseraeError } from '../base/errors.js';
import type {
  ChatMessage,
  ChatOptions,
  EmbedOptions,
  GenerateOptions,
  Generation,
  GenerationResult,
  Model,
  Prompt,
  Truncation,
  TurnOptions,
} from '../index.js';

export type JobKind = 'embed' | 'generate' | 'chat';

/** How vectors are written: as arrays of numbers, or as base64 of their little-endian f32 values. */
export type VectorEncoding = 'numbers' | 'base64';
export type EncodedVector = readonly number[] | string;

export type EmbedJobOptions = Omit<EmbedOptions & TurnOptions, 'onTruncated'>;
export type GenerateJobOptions = Omit<GenerateOptions, 'signal'>;
export type ChatJobOptions = Omit<ChatOptions, 'signal'>;

/** Options of the job go before those of the processor. Members that are not named here are the application's own. */
export type EmbedJob = { readonly options?: EmbedJobOptions } & (
  | { readonly text: Prompt }
  | { readonly texts: readonly Prompt[] }
);
export interface GenerateJob {
  readonly prompt: Prompt;
  readonly options?: GenerateJobOptions;
}
export interface ChatJob {
  readonly messages: readonly ChatMessage[];
  readonly options?: ChatJobOptions;
}

/** `vector` for a job with a `text`, `vectors` for one with `texts`; `truncated` where texts were cut. */
export interface EmbedJobResult {
  readonly vector?: EncodedVector;
  readonly vectors?: readonly EncodedVector[];
  readonly truncated?: readonly Truncation[];
}
export type GenerateJobResult = Omit<GenerationResult, 'timings' | 'tokensPerSecond'>;

/** What a runner passes to the work of one job. */
export interface WorkContext {
  readonly model: Model;
  readonly options: object;
  readonly vectors: VectorEncoding;
  readonly signal: AbortSignal;
  /** When the job began, by performance.now(). */
  readonly startedAt: number;
  readonly onProgress: ((done: number, total: number | null) => void) | undefined;
}

type Work = (data: unknown, context: WorkContext) => Promise<unknown>;

export const workOf: Readonly<Record<JobKind, Work>> = { embed, generate, chat };

/** Options that a runner gives itself, or that plain data cannot have. */
const foreignOptions = ['signal', 'onProgress', 'onTruncated', 'settle'];

async function embed(data: unknown, context: WorkContext): Promise<EmbedJobResult> {
  const { text, texts } = membersOf(data);
  if ((text === undefined) === (texts === undefined)) throw wrongData('{ text } or { texts }');
  const all: unknown = texts ?? [text];
  if (!Array.isArray(all) || !all.every(isPrompt))
    throw wrongData('{ text } or { texts }, of strings or arrays of token ids');
  const { model, onProgress } = context;
  const truncated: Truncation[] = [];
  // An array of texts, also for one: such calls wait for room in the model's queue.
  const vectors = await model.embed(all, {
    ...optionsOf(data, context),
    onTruncated: (cut) => truncated.push(cut),
    ...(onProgress === undefined ? {} : { onProgress: ({ done, total }) => onProgress(done, total) }),
  });
  const encoded = vectors.map((vector) => encodeVector(vector, context.vectors));
  const cuts = truncated.length === 0 ? {} : { truncated: truncated.sort((a, b) => a.index - b.index) };
  return texts === undefined ? { vector: encoded[0] as EncodedVector, ...cuts } : { vectors: encoded, ...cuts };
}

function generate(data: unknown, context: WorkContext): Promise<GenerateJobResult> {
  const { prompt } = membersOf(data);
  if (prompt === undefined) throw wrongData('{ prompt }');
  const options: GenerateOptions = optionsOf(data, context);
  return resultOf(context.model.generate(prompt as Prompt, options), options.maxTokens, context);
}

function chat(data: unknown, context: WorkContext): Promise<GenerateJobResult> {
  const { messages } = membersOf(data);
  if (messages === undefined) throw wrongData('{ messages }');
  const options: ChatOptions = optionsOf(data, context);
  return resultOf(context.model.chat(messages as ChatMessage[], options), options.maxTokens, context);
}

async function resultOf(
  generation: Generation,
  maxTokens: number | undefined,
  { onProgress }: WorkContext,
): Promise<GenerateJobResult> {
  for (let done = 0; onProgress !== undefined; onProgress(++done, maxTokens ?? null)) {
    if ((await generation.next()).done === true) break;
  }
  const { timings, tokensPerSecond, ...result } = await generation.result;
  return result;
}

/** An array of numbers in place of a text would be taken for its ids, not for many texts. */
function isPrompt(value: unknown): value is Prompt {
  return typeof value === 'string' || Array.isArray(value) || ArrayBuffer.isView(value);
}

/** @throws TesseraeError ERR_ARGUMENT */
function membersOf(data: unknown): Readonly<Record<string, unknown>> {
  if (typeof data === 'object' && data !== null) return data as Record<string, unknown>;
  throw wrongData('an object');
}

function wrongData(expected: string): TesseraeError {
  return new TesseraeError('ERR_ARGUMENT', `the job's data must be ${expected}`);
}

/** The options of the processor and the job together. The model checks them. @throws TesseraeError ERR_ARGUMENT */
function optionsOf(data: unknown, { options, signal, startedAt }: WorkContext): { signal: AbortSignal } {
  const { options: given } = membersOf(data);
  if (given !== undefined && (typeof given !== 'object' || given === null)) throw wrongData('{ options } as an object');
  const foreign = Object.keys(given ?? {}).find((key) => foreignOptions.includes(key));
  if (foreign !== undefined) throw new TesseraeError('ERR_ARGUMENT', `a job cannot have the option ${foreign}`);
  const all: TurnOptions & { signal: AbortSignal } = { ...options, ...given, signal };
  const { deadlineMs } = all;
  if (!Number.isSafeInteger(deadlineMs)) return all;
  // The time that the job has waited for room counts.
  const waitedMs = Math.floor(performance.now() - startedAt);
  return waitedMs === 0 ? all : ({ ...all, deadlineMs: Math.max(1, (deadlineMs as number) - waitedMs) } as typeof all);
}

/** A vector as plain JSON; base64 takes about a quarter of the bytes. */
export function encodeVector(vector: ArrayLike<number>, encoding: VectorEncoding): EncodedVector {
  if (encoding === 'numbers') return Array.from(vector);
  const bytes = Buffer.alloc(4 * vector.length);
  for (let i = 0; i < vector.length; i++) bytes.writeFloatLE(vector[i] as number, 4 * i);
  return bytes.toString('base64');
}
