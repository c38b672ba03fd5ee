// Renders chat templates in the thread for untrusted text, and what callers pass to them as JSON, written in time slices.
// Called by chat.ts.
import { BackgroundWorker } from '../../base/background-worker.js';
import { AbortError, TesseraeError } from '../../base/errors.js';
import { runInSlices, TimeSlice } from '../../base/time-slice.js';
import type { TemplateJob } from '../jinja/job.js';
import type { Rendered } from '../jinja/template.js';

/** The default of the option `templateTimeoutMs`. */
export const defaultTemplateTimeoutMs = 250;
const HEAP_MB = 64;
/** Code units of all strings, and values, that a template may be given. The heap of its thread must hold them several times. */
const MOST_UNITS = 6 * 2 ** 20;
const MOST_VALUES = 500_000;
const DEEPEST = 64;
/** So many code units are written at once. */
const STEP = 1 << 16;

/** One thread for all models of the process. */
const worker = new BackgroundWorker({ file: 'workers/text.js', heapMb: HEAP_MB });

/** @throws TesseraeError ERR_CHAT_TEMPLATE, ERR_WORKER_START; AbortError */
export async function renderTemplate(
  source: string,
  input: TemplateJob['input'],
  {
    op,
    timeoutMs,
    signal,
  }: { readonly op: string; readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<Rendered> {
  const job: TemplateJob = { kind: 'template', source, input };
  const failure = (problem: string) => templateError(problem, op);
  return (await worker.run(job, { timeoutMs, signal, failure })) as Rendered;
}

export function templateError(problem: string, op: string): TesseraeError {
  return new TesseraeError('ERR_CHAT_TEMPLATE', `the chat template ${problem}`, { op });
}

/**
 * JSON of plain data.
 * @throws TesseraeError ERR_ARGUMENT for what is no plain data, nested too deep, or too much; AbortError
 */
export async function jsonOf(data: unknown, op: string, signal: AbortSignal | undefined): Promise<string> {
  try {
    return await runInSlices(new JsonWriter(op).write(data), new TimeSlice(signal));
  } catch (error) {
    if (error instanceof TesseraeError || error instanceof AbortError) throw error;
    // A getter or a trap of the caller's own has thrown.
    throw new TesseraeError('ERR_ARGUMENT', 'the messages cannot be read', { op, cause: error });
  }
}

class JsonWriter {
  readonly #op: string;
  readonly #parts: string[] = [];
  #units = 0;
  #values = 0;

  constructor(op: string) {
    this.#op = op;
  }

  *write(data: unknown): Generator<void, string> {
    yield* this.#value(data, 0);
    return this.#parts.join('');
  }

  *#value(value: unknown, depth: number): Generator<void> {
    this.#values += 1;
    if (this.#values > MOST_VALUES) throw this.#error(`hold more than ${MOST_VALUES} values`);
    if (this.#values % 256 === 0) yield;
    if (typeof value === 'string') {
      yield* this.#text(value);
    } else if (typeof value === 'number') {
      // JSON has no Infinity, but a number that is read as Infinity.
      const infinity = value > 0 ? '1e999' : '-1e999';
      this.#parts.push(Number.isFinite(value) ? String(value) : Number.isNaN(value) ? 'null' : infinity);
    } else if (typeof value === 'boolean' || value === null || value === undefined) {
      this.#parts.push(String(value ?? null));
    } else if (typeof value !== 'object') {
      throw new TesseraeError('ERR_ARGUMENT', `a template takes only plain data, got a ${typeof value}`, {
        op: this.#op,
      });
    } else if (depth > DEEPEST) {
      throw this.#error(`are nested more than ${DEEPEST} deep`);
    } else if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        this.#parts.push(i === 0 ? '[' : ',');
        yield* this.#value(value[i], depth + 1);
      }
      this.#parts.push(value.length === 0 ? '[]' : ']');
    } else {
      yield* this.#object(value as Readonly<Record<string, unknown>>, depth);
    }
  }

  *#object(value: Readonly<Record<string, unknown>>, depth: number): Generator<void> {
    let separator = '{';
    for (const key of Object.keys(value)) {
      const member = value[key];
      if (member === undefined) continue;
      this.#parts.push(separator);
      separator = ',';
      yield* this.#text(key);
      this.#parts.push(':');
      yield* this.#value(member, depth + 1);
    }
    this.#parts.push(separator === '{' ? '{}' : '}');
  }

  *#text(text: string): Generator<void> {
    this.#units += text.length;
    if (this.#units > MOST_UNITS) throw this.#error(`hold more than ${MOST_UNITS} characters`);
    if (text.length <= STEP) {
      this.#parts.push(JSON.stringify(text));
      return;
    }
    this.#parts.push('"');
    for (let at = 0; at < text.length; at += STEP) {
      // A surrogate pair that is cut becomes two escapes, which are read as the pair.
      this.#parts.push(JSON.stringify(text.slice(at, at + STEP)).slice(1, -1));
      yield;
    }
    this.#parts.push('"');
  }

  #error(problem: string): TesseraeError {
    return new TesseraeError('ERR_ARGUMENT', `the messages ${problem}`, { op: this.#op });
  }
}
