// The public names of `tesserae/jobs`: what queues of any make have in common. See README.md.
export { type JobFailure, jobFailureOf } from './job-errors.js';
export type { JobProgress, ReportProgress } from './job-progress.js';
export {
  createJobRunner,
  type DrainOptions,
  type JobDataOf,
  type JobOptionsOf,
  type JobResultOf,
  type JobRun,
  type JobRunner,
  type JobRunnerOptions,
  type SignalLike,
} from './job-runner.js';
export type {
  ChatJob,
  ChatJobOptions,
  EmbedJob,
  EmbedJobOptions,
  EmbedJobResult,
  EncodedVector,
  GenerateJob,
  GenerateJobOptions,
  GenerateJobResult,
  JobKind,
  VectorEncoding,
} from './job-work.js';
