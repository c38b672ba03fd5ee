// The public names of the package.
import './machine/dispose-symbols.js';

export { AbortError, type ErrorCode, TesseraeError } from './base/errors.js';
export type { QuantizeOptions, QuantizeProgress, QuantizeResult } from './checkpoint/quantize/quantize.js';
export type { QuantizeType } from './checkpoint/quantize/quantize-rules.js';
export type { LoadProgress } from './checkpoint/weights.js';
export type { Format, TagsFormat } from './constraint/format.js';
export { type CloseOptions, Engine, type EngineOptions, type EnginePressure, type EngineStats } from './engine.js';
export type { ChatMessage, ChatPromptOptions } from './generation/chat/chat.js';
export type { GenerateOptions } from './generation/generate-options.js';
export type { Generation } from './generation/generation.js';
export type { GenerationResult, Piece, StopReason, Timings } from './generation/generation-result.js';
export type { Prompt } from './generation/prompt.js';
export type { TurnOptions } from './generation/turn-options.js';
export { describeMachine, type Machine, type MachineCache } from './hardware/machine.js';
export { probeRoofline, type Roofline, type RooflineOptions } from './hardware/roofline.js';
export type { BlockSizeOptions, BlockSizes } from './machine/block-sizes.js';
export type { IsaName } from './machine/environment.js';
export type {
  EndMessage,
  FirstTokenMessage,
  ObservedRequest,
  RequestMessage,
  WorkerLostMessage,
} from './metrics/channels.js';
export type {
  BatchOptions,
  CompleteOptions,
  EachOptions,
  EmbedBatchOptions,
  EmbedEachOptions,
  LoadSessionOptions,
  SettleOptions,
} from './model/call-options.js';
export type { EmbedOptions, Truncation } from './model/embed-options.js';
export type { InspectOptions, ModelInspection } from './model/inspect.js';
export type { LoadModelOptions } from './model/load.js';
export type { Model } from './model/model.js';
export type { ModelInfo, ModelSummary } from './model/model-info.js';
export type { Perplexity, PerplexityOptions } from './model/perplexity.js';
export type { ChatOptions } from './model/requests.js';
export type { Session, SessionOptions, SessionStats } from './model/session.js';
export { PackedMatrix, type PackOptions } from './ops/matmul/pack.js';
export type { KeyValueType } from './ops/paged/key-value-pages.js';
export { type PackQuantizedOptions, QuantizedMatrix } from './ops/quantized/quantized-matrix.js';
export type { QuantizedType } from './ops/quantized/quantized-type.js';
export { ropeFrequencies } from './ops/rowwise/rope.js';
export type { PeakedProfile, PeakedStep, ProgramProfile, StepProfile, TileSpan } from './program/profile.js';
export type { ProfileOptions, Program, RunOptions } from './program/program.js';
export type { Alternative, TokenLogprobs } from './sampling/logprobs.js';
export type { LogitBias } from './sampling/sampling-options.js';
export type { BatchProgress, EachOutcome } from './serving/batch.js';
export type { ServingOptions, ServingStats } from './serving/serving-options.js';
export type { TeamStats } from './team/team.js';
export type { DType } from './tensor/elements/dtype.js';
export { Tensor } from './tensor/tensor.js';
export type { PoolStats } from './tensor/tensor-pool.js';
export { TensorScope } from './tensor/tensor-scope.js';
export { Workspace } from './tensor/workspace.js';
export type { Tokenizer } from './tokenizer/tokenizer.js';
