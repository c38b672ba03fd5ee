// The public names of the package.

export type { BlockSizeOptions } from './block-sizes.js';
export { Engine, type EngineOptions, type EngineStats } from './engine.js';
export type { IsaName } from './environment.js';
export { AbortError, type ErrorCode, TesseraeError } from './errors.js';
export type { BatchProgress } from './model/batch.js';
export type { ChatMessage, ChatPromptOptions } from './model/chat.js';
export type { EmbedOptions } from './model/embedding.js';
export type { Format } from './model/format/format.js';
export type { GenerateOptions, GenerationResult, Piece, StopReason, Timings } from './model/generation.js';
export type { LoadModelOptions } from './model/load.js';
export type { Alternative, TokenLogprobs } from './model/logprobs.js';
export type {
  BatchOptions,
  ChatOptions,
  CompleteOptions,
  EmbedBatchOptions,
  LoadSessionOptions,
  Model,
  ModelInfo,
} from './model/model.js';
export type { Prompt } from './model/options.js';
export type { LogitBias } from './model/penalties.js';
export type { Perplexity, PerplexityOptions } from './model/perplexity.js';
export type { QuantizeOptions, QuantizeProgress, QuantizeResult } from './model/quantize.js';
export type { QuantizeType } from './model/quantize-rules.js';
export type { Session, SessionOptions, SessionStats } from './model/session.js';
export type { Tokenizer } from './model/tokenizer/tokenizer.js';
export type { LoadProgress } from './model/weights.js';
export type { BlockSizes } from './native/addon.js';
export { PackedMatrix, type PackOptions } from './ops/pack.js';
export type { KeyValueType } from './ops/paged-key-values.js';
export { type PackQuantizedOptions, QuantizedMatrix } from './ops/quantized-matrix.js';
export type { QuantizedType } from './ops/quantized-type.js';
export { ropeFrequencies } from './ops/rope.js';
export type { PeakedProfile, PeakedStep, ProgramProfile, StepProfile, TileSpan } from './program/profile.js';
export type { ProfileOptions, Program, RunOptions } from './program/program.js';
export type { TeamStats } from './team/team.js';
export type { DType } from './tensor/dtype.js';
export type { PoolStats } from './tensor/pool.js';
export { TensorScope } from './tensor/scope.js';
export { Tensor } from './tensor/tensor.js';
export { Workspace } from './tensor/workspace.js';
