// Engine: the public entry of the library. Owns the tensor pool, the team and the loaded models; its other methods pass
// their calls on to Compute, which checks and runs ops and records programs, and to the rooms model and checkpoint.

import { TesseraeError } from './base/errors.js';
import { checkInternal, type Internal, internal, seal } from './base/internal.js';
import { checkKeys, checkPositive, checkRange, checkWord } from './base/options.js';
import { type QuantizeOptions, type QuantizeResult, quantizeModel } from './checkpoint/quantize/quantize.js';
import { type BlockSizeOptions, type BlockSizes, chooseBlockSizes } from './machine/block-sizes.js';
import { type IsaName, readEnvironment } from './machine/environment.js';
import { usableCores, usableCpus } from './machine/parallelism.js';
import { EngineMetrics } from './metrics/engine-metrics.js';
import { traceRequests } from './metrics/spans.js';
import { type InspectOptions, inspectModel, type ModelInspection } from './model/inspect.js';
import { type LoadModelOptions, loadModel } from './model/load.js';
import type { Model } from './model/model.js';
import type { Addon } from './native/addon.js';
import { blockSizeLimits, chooseIsa } from './native/kernel-set.js';
import { type FileOptions, loadFiles } from './native/load.js';
import { checkBudget } from './native/memory-budget.js';
import { Compute } from './ops/calls/compute.js';
import { defineOpMethods, type EngineMethods } from './ops/calls/methods.js';
import type { ProgramBuilder } from './ops/calls/program-builder.js';
import type { PackedMatrix, PackOptions } from './ops/matmul/pack.js';
import type { AnyOp } from './ops/op.js';
import { measureFmaPeak } from './ops/probe-fma.js';
import type { PackQuantizedOptions, QuantizedMatrix } from './ops/quantized/quantized-matrix.js';
import { type PeakedProfile, withPeak } from './program/profile.js';
import { type ProfileOptions, Program } from './program/program.js';
import { type DrainKind, type ServingStats, sumOfStats } from './serving/serving-options.js';
import { Turns } from './serving/steps/turns.js';
import { Team, type TeamStats } from './team/team.js';
import type { DType } from './tensor/elements/dtype.js';
import type { Tensor } from './tensor/tensor.js';
import { type PoolStats, TensorPool } from './tensor/tensor-pool.js';
import { TensorScope } from './tensor/tensor-scope.js';
import { Workspace } from './tensor/workspace.js';

export interface EngineOptions extends FileOptions {
  /**
   * Number of worker threads; by default `TESSERAE_THREADS`, else the number of cores that the affinity mask and the control
   * groups of this process allow; the hardware threads of a core count once. With one worker per CPU, each worker is pinned to
   * its CPU.
   */
  readonly threads?: number | undefined;
  /**
   * The most bytes of shared memory for tensors, models and the workers' scratch; by default three quarters of the memory
   * that this process may use. An allocation that would exceed it fails with ERR_BUDGET. In WebAssembly at most 4 GiB, which all
   * engines of a thread share.
   */
  readonly memoryBudget?: number | undefined;
  /** The kernel set; by default `TESSERAE_ISA`, else the best one that this CPU can run. */
  readonly isa?: IsaName | undefined;
  /**
   * The block sizes of matrix products, in elements; by default chosen for the caches of this machine. They affect speed
   * only, never results.
   */
  readonly blockSizes?: BlockSizeOptions | undefined;
}

export interface EngineStats {
  /** What computes: the native addon, or the slower one in WebAssembly for platforms without it. */
  readonly addon: 'native' | 'wasm';
  /** The kernel set in use. */
  readonly isa: IsaName;
  readonly threads: number;
  readonly pool: PoolStats;
  readonly team: TeamStats;
  /** Programs that were recorded so far. Once its models are warm, serving records no more. */
  readonly programs: number;
  /** What the models have to do, and have done, all of them together. */
  readonly serving: ServingStats;
}

/** How much the models have to do. Pages hold 32 tokens of keys and values each. */
export interface EnginePressure {
  /** Requests that wait, and that are computed. */
  readonly queued: number;
  readonly running: number;
  /** Rows that a step had lately, on average. */
  readonly rowsPerStep: number;
  readonly pagesUsed: number;
  /** Pages that are only kept for later prompts. */
  readonly pagesCached: number;
  readonly pagesFree: number;
  /** How long a request that comes now is expected to wait. */
  readonly expectedWaitMs: number;
}

export interface CloseOptions {
  /** Finishes the requests that are `running`, or `all` that were taken. */
  readonly drain?: DrainKind | undefined;
  /** How long that may take; 30 s by default. */
  readonly timeoutMs?: number | undefined;
}

const drainKinds = ['running', 'all'] as const;
const defaultDrainMs = 30_000;

/** The system is asked to back buffers of this size and more with huge pages: large operands then need fewer translations. */
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
  readonly #addonKind: 'native' | 'wasm';
  readonly #isa: IsaName;
  readonly #blockSizes: BlockSizes;
  readonly #team: Team;
  readonly #pool: TensorPool;
  readonly #compute: Compute;
  readonly #models = new Set<Model>();
  readonly #turns = new Turns();
  readonly #metrics = new EngineMetrics();
  #peakGflops: number | undefined;
  #isDraining = false;
  #stopDraining: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(key: Internal, parts: EngineParts) {
    checkInternal(key, 'Engine', 'Engine.create');
    const { addon, isa, blockSizes, team, pool } = parts;
    this.#addonKind = addon.wasm === undefined ? 'native' : 'wasm';
    this.#isa = isa;
    this.#blockSizes = Object.freeze(blockSizes);
    this.#team = team;
    this.#pool = pool;
    this.#compute = new Compute({ addon, isa, blockSizes, team, pool });
  }

  /**
   * Starts the worker threads.
   * @throws TesseraeError ERR_ARGUMENT; ERR_NATIVE without a usable addon; ERR_BUDGET if the workers' scratch memory alone
   * exceeds the budget; ERR_WORKER_START, also for a wrong `workerPath`
   */
  static async create(options: EngineOptions = {}): Promise<Engine> {
    const op = 'Engine.create';
    checkKeys(options, ['threads', 'memoryBudget', 'isa', 'blockSizes', 'addonPath', 'workerPath'], op);
    const environment = readEnvironment();
    const { addon, addonPath } = loadFiles(options, op);
    const cpus = usableCpus();
    const { maxSeats } = addon.layout;
    const threads = checkPositive(
      options.threads ?? environment.threads ?? Math.min(usableCores(cpus), maxSeats),
      'threads',
      op,
    );
    if (threads > maxSeats) {
      throw new TesseraeError('ERR_ARGUMENT', `threads may be ${maxSeats} at most, got ${threads}`, { op });
    }
    const isa = chooseIsa(addon, options.isa ?? environment.isa);
    const blockSizes = chooseBlockSizes(blockSizeLimits(addon, isa), options.blockSizes);
    const budgetBytes = checkBudget(options.memoryBudget, addon, op);
    const teamBytes = Team.sizeBytes(addon, threads);
    if (budgetBytes <= teamBytes) {
      const message = `the workers' scratch takes ${teamBytes} bytes, the memory budget is ${budgetBytes}`;
      throw new TesseraeError('ERR_BUDGET', message);
    }
    const [team] = await Promise.all([Team.create({ addon, addonPath, threads, isa, cpus }), traceRequests()]);
    const pool = new TensorPool({
      budgetBytes: budgetBytes - teamBytes,
      addressOf: (bytes) => addon.addressOf(bytes),
      onAllocate: (bytes) => {
        if (bytes.byteLength >= hugePageBytes) addon.adviseHugePages(bytes);
      },
      // WebAssembly gives no memory back to the system, and uses it again for other ranges.
      ...(addon.wasm === undefined && { onTrim: (bytes: Uint8Array) => addon.releasePages(bytes) }),
    });
    return new Engine(internal, { addon, isa, blockSizes, team, pool });
  }

  /** The kernel set in use. */
  get isa(): IsaName {
    return this.#isa;
  }

  get threads(): number {
    return this.#team.threads;
  }

  /** The block sizes of matrix products, in elements. */
  get blockSizes(): BlockSizes {
    return this.#blockSizes;
  }

  /** A tensor with the given values, or of zeros; the caller disposes it. See {@link TensorPool.tensor}. */
  tensor: TensorPool['tensor'] = ((shape: readonly number[], dtypeOrData?: DType, data?: Float32Array) => {
    this.#checkOpen('tensor');
    return this.#pool.tensor(shape, dtypeOrData as DType, data);
  }) as TensorPool['tensor'];

  /** A scope that disposes every tensor made in it when it is disposed itself. */
  scope(): TensorScope {
    this.#checkOpen('scope');
    return new TensorScope(internal, this.#pool);
  }

  /**
   * Packs the second operand of matrix products once, for any number of products. The caller disposes the result.
   * @throws TesseraeError ERR_SHAPE, ERR_DTYPE, ERR_BUDGET and others, like `matmul`
   */
  async pack(b: Tensor, options: PackOptions = {}): Promise<PackedMatrix> {
    return this.#compute.pack(b, options);
  }

  /**
   * Converts the blocks of quantized weights from their layout in GGUF files to the layout of the kernels. The caller
   * disposes the result; the blocks are no longer needed.
   * @throws TesseraeError ERR_ARGUMENT, ERR_SHAPE, ERR_DTYPE, ERR_BUDGET; AbortError
   */
  async packQuantized(blocks: Tensor, options: PackQuantizedOptions): Promise<QuantizedMatrix> {
    return this.#compute.packQuantized(blocks, options);
  }

  /** Named scratch tensors that are reused from call to call; the caller disposes the workspace. */
  workspace(): Workspace {
    this.#checkOpen('workspace');
    return new Workspace(internal, this.#pool);
  }

  /**
   * Records the ops that `record` calls on its argument; `program.run()` replays them. The ops may read tensors of the
   * engine (weights) and write to them (through `out`). What `record` returns becomes `program.tensors`.
   */
  program<T>(record: (builder: ProgramBuilder) => T): Program<T> {
    return this.#compute.program(record);
  }

  /**
   * Runs a program a few times and reports where its time goes: for each step the kernel, tiles, flops, bytes, time and
   * share of the FMA peak; for each tile which worker computed it, and when. The runs read inputs and write outputs like
   * any run. While it is profiled, the program cannot be run otherwise.
   * @throws TesseraeError ERR_ARGUMENT unless it is a program of this engine, ERR_BUDGET for the memory of the trace, and
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
   * Loads a GGUF file (all parts of a split one) or a Hugging Face folder without blocking the event loop. All weights are
   * read into the pool's memory, so that the model does not need its files afterwards.
   */
  async loadModel(path: string, options: LoadModelOptions = {}): Promise<Model> {
    this.#checkOpen('loadModel');
    const shared = { compute: this.#compute, turns: this.#turns, metrics: this.#metrics };
    const model = await loadModel(shared, path, options, (disposed) => {
      if (this.#models.delete(disposed)) this.#metrics.retire(disposed.metricsLabel, disposed.serving);
    });
    if (this.#closing !== undefined || this.#isDraining) model.dispose();
    this.#checkOpen('loadModel');
    this.#models.add(model);
    return model;
  }

  /**
   * Reports what a model is and what it takes, without loading it: architecture, tokenizer, types of the weights, context,
   * parameters, the bytes that loading takes, and those of a token's keys and values. Reads the headers of the files alone,
   * in time slices, and refuses what `loadModel` refuses, by the same errors; only ERR_BUDGET is left to loading.
   * @throws TesseraeError ERR_FILE, ERR_MODEL_FILE, ERR_UNSUPPORTED, ERR_ARGUMENT, ERR_ENGINE_CLOSED; AbortError
   */
  async inspect(path: string, options: InspectOptions = {}): Promise<ModelInspection> {
    this.#checkOpen('inspect');
    return inspectModel(path, options);
  }

  /** Writes a copy of a model as a GGUF file with quantized weights. Never has the whole model in memory. */
  async quantizeModel(input: string, output: string, options: QuantizeOptions): Promise<QuantizeResult> {
    return quantizeModel(this.#compute, input, output, options);
  }

  /** Statistics of the pool and the team at this moment. */
  stats(): EngineStats {
    return {
      addon: this.#addonKind,
      isa: this.isa,
      threads: this.threads,
      pool: this.#pool.stats(),
      team: this.#team.stats(),
      programs: this.#compute.recorded,
      serving: this.#serving(),
    };
  }

  /**
   * The metrics of the engine and all of its models in Prometheus' text format, to be served as
   * `text/plain; version=0.0.4`. Counts begin with the engine; the delay of the event loop is measured from the first call on.
   */
  async metrics(): Promise<string> {
    const models = [...this.#models].map(({ metricsLabel: label, serving: served }) => ({ label, served }));
    return this.#metrics.text({ ...this.stats(), models });
  }

  /** Frees the idle memory of the pool, and what models keep for later prompts. Returns the number of bytes freed. */
  trim(): number {
    for (const model of this.#models) model.clearCache();
    return this.#pool.trim();
  }

  /** How much the models have to do now, all of them together. */
  pressure(): EnginePressure {
    const { queued, running, rowsPerStep, pagesUsed, pagesCached, pagesFree, expectedWaitMs } = this.#serving();
    return { queued, running, rowsPerStep, pagesUsed, pagesCached, pagesFree, expectedWaitMs };
  }

  /**
   * Ends the engine: threads end, models are disposed, idle memory is freed. Tensors that are still alive stay readable.
   * Without `drain` at once: what is running is cancelled and rejects with ERR_ENGINE_CLOSED. With it, the models take no new
   * requests, and what is asked for is finished first, for `timeoutMs` at most; what remains then rejects with
   * ERR_ENGINE_CLOSED. Closing again is harmless, and without `drain` ends the waiting.
   * @throws TesseraeError ERR_ARGUMENT
   */
  close(options: CloseOptions = {}): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    try {
      checkKeys(options, ['drain', 'timeoutMs'], 'close');
      const { drain, timeoutMs = defaultDrainMs } = options;
      checkRange(timeoutMs, 'timeoutMs', 'close', 0, 2 ** 31 - 1);
      if (drain !== undefined) {
        checkWord(drain, drainKinds, 'drain', 'close');
        return this.#drain(drain, timeoutMs).then(() => this.close());
      }
    } catch (error) {
      return Promise.reject(error);
    }
    this.#stopDraining?.();
    this.#closing = this.#end();
    return this.#closing;
  }

  async #drain(kind: DrainKind, timeoutMs: number): Promise<void> {
    const error = new TesseraeError('ERR_ENGINE_CLOSED', 'the engine is closing');
    this.#isDraining = true;
    const drained = Promise.all([...this.#models].map((model) => model.drain(kind, error)));
    let timer: NodeJS.Timeout | undefined;
    const stopped = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
      this.#stopDraining = resolve;
    });
    await Promise.race([drained, stopped]);
    clearTimeout(timer);
    drained.catch(() => {});
  }

  async #end(): Promise<void> {
    this.#metrics.close();
    this.#compute.close();
    const error = new TesseraeError('ERR_ENGINE_CLOSED', 'the engine is closed');
    for (const model of this.#models) model.end(error);
    await this.#team.close();
    for (const model of this.#models) model.dispose();
    this.#pool.close();
  }

  #serving(): ServingStats {
    return sumOfStats([...this.#models].map((model) => model.serving));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Called by the method of each op. */
  call(op: AnyOp, args: Record<string, unknown>): Promise<Tensor> {
    return this.#compute.call(op, args);
  }

  #checkOpen(op: string): void {
    if (this.#isDraining && op === 'loadModel')
      throw new TesseraeError('ERR_ENGINE_CLOSED', 'the engine is closing', { op });
    this.#compute.checkOpen(op);
  }
}

defineOpMethods(Engine.prototype, (engine, op, args) =>
  args instanceof Error ? Promise.reject(args) : engine.call(op, args as Record<string, unknown>),
);
seal(Engine);
