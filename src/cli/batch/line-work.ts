// One line of a batch: from its text to the line that is written. Two runs give the same bytes, so nothing of the moment goes
// into it; a failure that another attempt may not have fails the command instead. Called by commands/batch.ts.
import { createHash } from 'node:crypto';
import { type ErrorCode, TesseraeError } from '../../base/errors.js';
import type { GenerateOptions, Model } from '../../index.js';
import type { JobKind, JobRunner } from '../../jobs/index.js';
import type { BodyRequest } from '../../openai/index.js';
import type { InputLine } from './input-lines.js';

export interface LineSettings {
  readonly model: Model;
  /** The kind of all lines; undefined where each line has its own. */
  readonly kind: JobKind | undefined;
  /** Lines are prompts or texts themselves, not JSON. */
  readonly isText: boolean;
  readonly options: GenerateOptions;
  readonly seed: number;
  /** SHA-256 of the input; undefined where it is not known before its end. */
  readonly digest: string | undefined;
  readonly signal: AbortSignal;
}

/** The parts of the library that lines need, loaded when the command runs. */
export interface LineTools {
  readonly runners: Readonly<Record<JobKind, JobRunner<JobKind>>>;
  readonly readBody: (body: unknown) => BodyRequest;
  readonly bodyOf: typeof import('../../openai/index.js').bodyOf;
  readonly jobFailureOf: typeof import('../../jobs/index.js').jobFailureOf;
}

interface Work {
  readonly kind: JobKind;
  readonly job: { readonly options?: object };
  readonly body?: BodyRequest;
}

const attempts = 3;
const seeds = 2n ** 53n;
/** Options that depend on the moment, or have no meaning within one batch. */
const foreignOptions = ['deadlineMs', 'priority', 'tenant'];
const memberOf: Readonly<Record<JobKind, string>> = { embed: 'text', generate: 'prompt', chat: 'messages' };

/** The output line of an input line, without its end. @throws AbortError; what only fails for now */
export async function outputLineOf(
  line: InputLine,
  index: number,
  settings: LineSettings,
  tools: LineTools,
): Promise<string> {
  const digest = settings.digest ?? sha256(JSON.stringify(line));
  const hash = sha256(`${digest}:${index}`).slice(0, 32);
  let custom_id: string | null = null;
  const outcome = (response: unknown, error: unknown) =>
    JSON.stringify({ id: `batch_req_${hash}`, custom_id, index, response, error });
  try {
    if ('problem' in line) throw refusal(line.problem);
    const entry = settings.isText ? undefined : entryOf(line.text);
    custom_id = customIdOf(entry);
    const work =
      entry === undefined ? textWork(line.text, settings.kind ?? 'generate') : workOf(entry, settings, tools);
    const result = await compute(work, index, settings, tools);
    if (work.body === undefined) return outcome(result, null);
    const { tokenizer, info } = settings.model;
    const context = { id: hash, model: info.name ?? info.architecture, tokenizer };
    return outcome({ status_code: 200, request_id: hash, body: await tools.bodyOf(work.body, result, context) }, null);
  } catch (error) {
    if (tools.jobFailureOf(error) !== 'final') throw error;
    const { code, message } = error as { code: ErrorCode; message: string };
    return outcome(null, { code, message });
  }
}

async function compute({ kind, job }: Work, index: number, settings: LineSettings, tools: LineTools): Promise<object> {
  const { signal, seed, options } = settings;
  const ownSeed = kind === 'embed' ? {} : { ...options, seed: Number((BigInt(seed) + BigInt(index)) % seeds) };
  const data = { ...job, options: { ...ownSeed, ...job.options } };
  for (let attempt = 1; ; attempt++) {
    try {
      return await tools.runners[kind].run(data as never, { signal, attempt });
    } catch (error) {
      if (tools.jobFailureOf(error) !== 'retry' || attempt === attempts) throw error;
    }
  }
}

function entryOf(text: string): Readonly<Record<string, unknown>> {
  let entry: unknown;
  try {
    entry = JSON.parse(text);
  } catch {
    throw refusal('the line is not valid JSON');
  }
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
    throw refusal('the line is not a JSON object');
  return entry as Record<string, unknown>;
}

function customIdOf(entry: Readonly<Record<string, unknown>> | undefined): string | null {
  const { custom_id } = entry ?? {};
  if (custom_id === undefined || custom_id === null) return null;
  if (typeof custom_id !== 'string') throw refusal('custom_id must be a string');
  return custom_id;
}

function workOf(entry: Readonly<Record<string, unknown>>, { kind }: LineSettings, { readBody }: LineTools): Work {
  const work = entry.body === undefined ? plainWork(entry, kind) : bodyWork(entry.body, readBody);
  if (kind === undefined || work.kind === kind) return work;
  throw refusal(`the line is for ${work.kind}, the batch for ${kind}`);
}

function bodyWork(given: unknown, readBody: LineTools['readBody']): Work {
  const body = readBody(given);
  return { kind: body.kind, job: body.job, body };
}

function plainWork(entry: Readonly<Record<string, unknown>>, wanted: JobKind | undefined): Work {
  const kinds = Object.keys(memberOf) as JobKind[];
  const kind = kinds.find((one) => entry[memberOf[one]] !== undefined);
  const expected = wanted === undefined ? 'prompt, text, messages or body' : `${memberOf[wanted]} or body`;
  if (kind === undefined) throw refusal(`the line has none of the members ${expected}`);
  const { options } = entry;
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw refusal('options must be an object');
  }
  const foreign = Object.keys(options ?? {}).find((name) => foreignOptions.includes(name));
  if (foreign !== undefined) throw refusal(`a line cannot have the option ${foreign}`);
  const member = memberOf[kind];
  return { kind, job: { [member]: entry[member], ...(options == null ? {} : { options }) } };
}

function textWork(text: string, kind: JobKind): Work {
  const value = kind === 'chat' ? [{ role: 'user', content: text }] : text;
  return { kind, job: { [memberOf[kind]]: value } };
}

function refusal(message: string): TesseraeError {
  return new TesseraeError('ERR_ARGUMENT', message);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
