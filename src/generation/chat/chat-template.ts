// Renders chat templates in the thread for untrusted text. Called by chat.ts.
import { BackgroundWorker } from '../../base/background-worker.js';
import { TesseraeError } from '../../base/errors.js';
import { jsonText } from '../../base/json-text.js';
import type { TemplateJob } from '../jinja/job.js';
import type { Rendered } from '../jinja/template.js';

/** The default of the option `templateTimeoutMs`. */
export const defaultTemplateTimeoutMs = 250;
const HEAP_MB = 64;
/** What a template may be given. The heap of its thread must hold all strings several times. */
const limits = { name: 'messages', mostUnits: 6 * 2 ** 20, mostValues: 250_000, deepest: 64 };

/** One thread for all models of the process. */
const worker = new BackgroundWorker({ heapMb: HEAP_MB });

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

/** JSON of a template's variables. @throws TesseraeError ERR_ARGUMENT; AbortError */
export function jsonOf(data: unknown, op: string, signal: AbortSignal | undefined): Promise<string> {
  return jsonText(data, { ...limits, op }, signal);
}
