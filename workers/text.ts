// The threads for untrusted text (workers/worker.cjs, src/base/background-worker.ts): renders chat templates and compiles formats.
// Uses neither the addon nor memory that is shared.
import { parentPort } from 'node:worker_threads';
import type { JobAnswer } from '../src/base/background-worker.js';
import { compileFormat, type FormatJob } from '../src/constraint/compile/job.js';
import { renderTemplate, type TemplateJob } from '../src/generation/jinja/job.js';

parentPort?.on('message', (job: TemplateJob | FormatJob) => {
  try {
    const { value, transfer } = job.kind === 'template' ? renderTemplate(job) : compileFormat(job);
    answer({ value }, transfer);
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    answer({ problem: String(message ?? error), code: typeof code === 'string' ? code : undefined });
  }
});
parentPort?.postMessage('ready');

function answer(message: JobAnswer, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}
