// Engine: the public entry. Owns the tensor pool and the team, checks and runs ops, records programs, loads models.
import { totalmem } from 'node:os';
import { TesseraeError } from './base/errors.js';
import { checkKeys } from './base/options.js';
import { type QuantizeOptions, type QuantizeResult, quantizeModel } from './checkpoint/quantize/quantize.js';
import {
  type BlockSizeLimits,
  type BlockSizeOptions,
  type BlockSizes,
  chooseBlockSizes,
} from './machine/block-sizes.js';
import { ISA_NAMES, type IsaName, readEnvironment } from './machine/environment.js';
import { usableCpus } from './machine/parallelism.js';
import { type LoadModelOptions, loadModel } from './model/load.js';
import type { Model } from './model/model.js';
import type { Addon, ProductTraits } from './native/addon.js';
import { loadAddon } from './native/load.js';
import { Compute } from './ops/calls/compute.js';
import { defineOpMethods, type EngineMethods } from './ops/calls/methods.js';
import type { ProgramBuilder } from './ops/calls/program-builder.js';
import type { PackedMatrix, PackOptions } from './ops/matmul/pack.js';
import type { AnyOp } from './ops/op.js';
import { measureFmaPeak } from './ops/probe-fma.js';
import type { PackQuantizedOptions, QuantizedMatrix } from './ops/quantized/quantized-matrix.js';
import { type PeakedProfile, withPeak } from './program/profile.js';
import { type ProfileOptions, Program } from './program/program.js';
import { Team, type TeamStats } from './team/team.js';
import type { DType } from './tensor/elements/dtype.js';
import { FileMappings } from './tensor/memory/mapped-file.js';
import type { Tensor } from './tensor/tensor.js';
import { type PoolStats, TensorPool } from './tensor/tensor-pool.js';
import { TensorScope } from './tensor/tensor-scope.js';
import { Workspace } from './tensor/workspace.js';

export interface EngineOptions {
  /**
   * Worker threads; by default `TESSERAE_THREADS`, else as many CPUs as this process may use: what its affinity and its
   * control groups grant. With one for each CPU of its affinity, each stays on a CPU of its own.
   */
  readonly threads?: number | undefined;
  /**
   * Bytes of shared memory that tensors, models and the workers' scratch may take; by default three quarters of the
   * memory that this process may use. What would exceed it fails with ERR_BUDGET before it is allocated.
   */
  readonly memoryBudget?: number | undefined;
  /** Forces a kernel set; by default `TESSERAE_ISA`, else the best that the CPU runs. */
  readonly isa?: IsaName | undefined;
  /**
   * How matrix products are cut into blocks, in elements; by default as the caches of this machine suggest. Speed only.
   */
  readonly blockSizes?: BlockSizeOptions | undefined;
}

export interface EngineStats {
  /** The kernel set in use. */
  readonly isa: IsaName;
  readonly threads: number;
  readonly pool: PoolStats;
  /** Bytes of model files that are mapped. They are no part of the pool, and the system decides which are resident. */
  readonly mappedBytes: number;
  readonly team: TeamStats;
}

/** Buffers of this size and more are advised to stand on huge pages: fewer translations for large operands. */
const hugePageBytes = 4 << 20;

interface EngineParts {
  readonly addon: Addon;
  readonly isa: IsaName;
  readonly blockSizes: BlockSizes;
  readonly team: Team;
  readonly pool: TensorPool;
}

export interface Engine extends EngineMethods {}

/**
 * Runs tensor ops, recorded programs and models on a team of worker threads, without blocking the event loop.
 *
 * Ops are methods (`await engine.matmul(a, b)`): each returns a new tensor, which the caller disposes, or fills `out`.
 * Close the engine when done: `await engine.close()`, or `await using`.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are defined below, one for each registered op.
export class Engine {
  /** The kernel set in use. */
  readonly isa: IsaName;
  readonly threads: number;
  /** How matrix products are cut, in elements. */
  readonly blockSizes: BlockSizes;
  readonly #team: Team;
  readonly #pool: TensorPool;
  readonly #mappings: FileMappings;
  readonly #compute: Compute;
  readonly #models = new Set<Model>();
  #peakGflops: number | undefined;
  #closing: Promise<void> | undefined;

  private constructor({ addon, isa, blockSizes, team, pool }: EngineParts) {
    this.isa = isa;
    this.blockSizes = Object.freeze(blockSizes);
    this.threads = team.threads;
    this.#team = team;
    this.#pool = pool;
    this.#mappings = new FileMappings(addon, pool);
    this.#compute = new Compute({ addon, isa, blockSizes, team, pool });
  }

  /**
   * Starts the worker threads.
   * @throws TesseraeError ERR_ARGUMENT, ERR_NATIVE without a usable addon, ERR_BUDGET when the budget does not even
   * hold the workers' scratch memory, ERR_WORKER_START
   */
  static async create(options: EngineOptions = {}): Promise<Engine> {
    checkKeys(options, ['threads', 'memoryBudget', 'isa', 'blockSizes'], 'Engine.create');
    const environment = readEnvironment();
    const addon = loadAddon();
    const cpus = usableCpus();
    const threads = checkCount(
      options.threads ?? environment.threads ?? Math.min(cpus, addon.layout.maxSeats),
      'threads',
    );
    if (threads > addon.layout.maxSeats) {
      throw new TesseraeError('ERR_ARGUMENT', `threads may be ${addon.layout.maxSeats} at most, got ${threads}`);
    }
    const isa = chooseIsa(addon, options.isa ?? environment.isa);
    const blockSizes = chooseBlockSizes(blockSizeLimits(addon, isa), options.blockSizes);
    const budgetBytes = checkCount(options.memoryBudget ?? defaultBudget(), 'memoryBudget');
    const teamBytes = Team.sizeBytes(addon, threads);
    if (budgetBytes <= teamBytes) {
      const message = `the workers' scratch takes ${teamBytes} bytes, the memory budget is ${budgetBytes}`;
      throw new TesseraeError('ERR_BUDGET', message);
    }
    const team = await Team.create({ addon, threads, isa, cpus });
    const pool = new TensorPool({
      budgetBytes: budgetBytes - teamBytes,
      addressOf: (bytes) => addon.addressOf(bytes),
      onAllocate: (bytes) => {
        if (bytes.byteLength >= hugePageBytes) addon.adviseHugePages(bytes);
      },
      onTrim: (bytes) => addon.releasePages(bytes),
    });
    return new Engine({ addon, isa, blockSizes, team, pool });
  }

  /** A tensor of zeros, or with the given values; the caller disposes it. See {@link TensorPool.tensor}. */
  tensor: TensorPool['tensor'] = ((shape: readonly number[], dtypeOrData?: DType, data?: Float32Array) => {
    this.#checkOpen('tensor');
    return this.#pool.tensor(shape, dtypeOrData as DType, data);
  }) as TensorPool['tensor'];

  /** A scope that disposes, at its end, every tensor made in it. */
  scope(): TensorScope {
    this.#checkOpen('scope');
    return new TensorScope(this.#pool);
  }

  /**
   * Packs the second operand of matrix products once, for as many products as it is used in. The caller disposes it.
   * @throws TesseraeError ERR_SHAPE, ERR_DTYPE, ERR_BUDGET and others, as `matmul` does
   */
  async pack(b: Tensor, options: PackOptions = {}): Promise<PackedMatrix> {
    return this.#compute.pack(b, options);
  }

  /**
   * Brings the blocks of quantized weights, as GGUF files have them, into the layout that the kernels stream. The caller
   * disposes the result; the blocks are no longer needed.
   * @throws TesseraeError ERR_ARGUMENT, ERR_SHAPE, ERR_DTYPE, ERR_BUDGET; AbortError
   */
  async packQuantized(blocks: Tensor, options: PackQuantizedOptions): Promise<QuantizedMatrix> {
    return this.#compute.packQuantized(blocks, options);
  }

  /** Scratch tensors by name that are reused from call to call; the caller disposes it. */
  workspace(): Workspace {
    this.#checkOpen('workspace');
    return new Workspace(this.#pool);
  }

  /**
   * Records the ops that `record` calls on its argument, to be replayed with `program.run()`. Tensors of the engine may
   * be read (weights) or written (through `out`); what `record` returns is found at `program.tensors`.
   */
  program<T>(record: (builder: ProgramBuilder) => T): Program<T> {
    return this.#compute.program(record);
  }

  /**
   * Runs a program a few times and tells where the time goes: for each step its kernel, tiles, flops, bytes, time and share
   * of the FMA peak, and for each tile which worker computed it from when to when. The runs are runs like any other: inputs
   * are read and outputs written. While it is profiled the program cannot be run by others.
   * @throws TesseraeError ERR_ARGUMENT for what is no program of this engine, ERR_BUDGET for the memory of the trace, and
   * what `program.run` throws; AbortError
   */
  async profile(program: Program, options: ProfileOptions = {}): Promise<PeakedProfile> {
    this.#checkOpen('profile');
    if (!(program instanceof Program)) throw new TesseraeError('ERR_ARGUMENT', 'expected a program', { op: 'profile' });
    const profile = await this.#compute.profile(program, options);
    this.#peakGflops ??= await measureFmaPeak(this, options.signal);
    return withPeak(profile, this.#peakGflops);
  }

  /**
   * Loads a GGUF file (all parts of a split one), or a folder of Hugging Face, without blocking. Matrices of floats stay in
   * the mapped files, which must not be shortened while the model lives; quantized ones are repacked.
   */
  async loadModel(path: string, options: LoadModelOptions = {}): Promise<Model> {
    this.#checkOpen('loadModel');
    const model = await loadModel({ compute: this.#compute, mappings: this.#mappings }, path, options, (disposed) =>
      this.#models.delete(disposed),
    );
    if (this.#closing !== undefined) model.dispose();
    this.#checkOpen('loadModel');
    this.#models.add(model);
    return model;
  }

  /** Writes a GGUF file anew with quantized weights, piece by piece: never the whole model in memory. */
  async quantizeModel(input: string, output: string, options: QuantizeOptions): Promise<QuantizeResult> {
    return quantizeModel(this.#compute, input, output, options);
  }

  /** A snapshot of what pool and team hold and have done. */
  stats(): EngineStats {
    return {
      isa: this.isa,
      threads: this.threads,
      pool: this.#pool.stats(),
      mappedBytes: this.#mappings.mappedBytes,
      team: this.#team.stats(),
    };
  }

  /** Lets go of memory that is idle in the pool. Returns the bytes freed. */
  trim(): number {
    return this.#pool.trim();
  }

  /**
   * Ends the engine: what is running is cancelled and rejects with ERR_ENGINE_CLOSED, the threads end, models are
   * disposed, idle memory is freed. Tensors that are still alive stay readable. Closing twice is harmless.
   */
  close(): Promise<void> {
    this.#compute.close();
    this.#closing ??= this.#team.close().then(() => {
      for (const model of this.#models) model.dispose();
      this.#pool.close();
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal What an op's method does. */
  call(op: AnyOp, args: Record<string, unknown>): Promise<Tensor> {
    return this.#compute.call(op, args);
  }

  #checkOpen(op: string): void {
    this.#compute.checkOpen(op);
  }
}

defineOpMethods(Engine.prototype, (engine, op, args) => engine.call(op, args as Record<string, unknown>));

function checkCount(value: unknown, name: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be a positive integer, got ${String(value)}`);
}

function blockSizeLimits(addon: Addon, isa: IsaName): BlockSizeLimits {
  const { mr, nr } = addon.products[isa] as ProductTraits;
  return { mr, nr, defaults: addon.defaultBlockSizes, valid: (sizes) => addon.blockSizesValid(sizes) };
}

function chooseIsa(addon: Addon, wanted: IsaName | undefined): IsaName {
  if (wanted === undefined) return addon.isas.at(-1) as IsaName;
  if (!ISA_NAMES.includes(wanted)) {
    throw new TesseraeError('ERR_ARGUMENT', `isa must be one of ${ISA_NAMES.join(', ')}, got ${String(wanted)}`);
  }
  if (addon.isas.includes(wanted)) return wanted;
  throw new TesseraeError('ERR_NATIVE', `this CPU cannot run the ${wanted} kernels`);
}

function defaultBudget(): number {
  const constrained = process.constrainedMemory();
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(available * 0.75);
}
