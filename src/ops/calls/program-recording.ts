// One recording of a program: its recorder and builder, the memory that the program will own, and the compilation. If it
// fails, all memory is given back. Used by Compute alone.
import { internal } from '../../base/internal.js';
import type { Addon } from '../../native/addon.js';
import { CompiledProgram } from '../../program/compiled-program.js';
import { Program } from '../../program/program.js';
import { Recorder, type RecorderOptions } from '../../program/recorder.js';
import type { Runner } from '../../program/runner.js';
import type { SharedArena } from '../../program/shared-arena.js';
import { TemporaryStorage } from '../../program/temporary-storage.js';
import { storageOf, Tensor } from '../../tensor/tensor.js';
import type { TensorPool } from '../../tensor/tensor-pool.js';
import { ProgramBuilder } from './program-builder.js';

export interface RecordingSite extends RecorderOptions {
  readonly addon: Addon;
  readonly pool: TensorPool;
  readonly runner: Runner;
}

export class ProgramRecording {
  readonly builder: ProgramBuilder;
  readonly #site: RecordingSite;
  readonly #recorder: Recorder;
  readonly #owned: { release(): void }[] = [];

  constructor(site: RecordingSite) {
    this.#site = site;
    this.#recorder = new Recorder(site);
    this.builder = new ProgramBuilder(this.#recorder, site.pool);
  }

  /**
   * Makes the program from what the builder recorded. A generator, so that a long program can be made in slices: the work
   * between two yields takes at most a millisecond.
   * @param tensors what the recording function returned
   */
  *finish<T>(tensors: T, shared?: SharedArena): Generator<void, Program<T>> {
    const { addon, pool, runner } = this.#site;
    this.builder.finish(tensors);
    for (const tensor of tensorsIn(tensors)) {
      const temporary = storageOf(tensor);
      if (!(temporary instanceof TemporaryStorage) || temporary.buffer !== undefined) continue;
      const storage = pool.rent(temporary.sizeBytes);
      this.#owned.push(storage);
      temporary.back(storage);
    }
    this.#recorder.dropUnread();
    yield;
    const compiled = yield* CompiledProgram.compile(addon, this.#recorder.steps);
    yield;
    const own = shared === undefined && compiled.arenaBytes > 0 ? pool.rent(compiled.arenaBytes) : undefined;
    if (own !== undefined) this.#owned.push(own);
    const arena = shared ?? own;
    const release = () => this.release();
    const memory = { tensors: operandsOf(this.#recorder), arena, release };
    return new Program(internal, { tensors, compiled, runner, memory });
  }

  /** Gives back all memory. Called once: after a failure, or when the program is disposed. */
  release(): void {
    for (const input of this.builder.inputs) input[Symbol.dispose]();
    for (const storage of this.#owned) storage.release();
    for (const storage of this.#recorder.temporaries) storage.dispose();
  }
}

/** The tensors that a program accesses, each once, without its temporaries. */
function operandsOf(recorder: Recorder): Tensor[] {
  const touched = new Set<Tensor>();
  for (const step of recorder.steps) {
    for (const tensor of step.reads) if (!recorder.owns(tensor)) touched.add(tensor);
    for (const tensor of step.writes) if (!recorder.owns(tensor)) touched.add(tensor);
  }
  return [...touched];
}

/** The tensors in what a recording function returned: itself, its properties, and the elements of their arrays. */
function tensorsIn(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((entry) =>
    entry instanceof Tensor || Array.isArray(entry) ? tensorsIn(entry) : [],
  );
}
