// The public names of the package.
export { Engine, type EngineOptions, type EngineStats } from './engine.js';
export type { IsaName } from './environment.js';
export { AbortError, type ErrorCode, TesseraeError } from './errors.js';
export { ropeFrequencies } from './ops/rope.js';
export type { Program, RunOptions } from './program/program.js';
export type { TeamStats } from './team/team.js';
export type { DType } from './tensor/dtype.js';
export type { PoolStats } from './tensor/pool.js';
export { TensorScope } from './tensor/scope.js';
export { Tensor } from './tensor/tensor.js';
export { Workspace } from './tensor/workspace.js';
