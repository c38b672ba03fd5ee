// Arranges the order of events in a team: programs of the diagnostic kernel (native/kernels/checkpoint.h), whose tiles
// wait at a gate, fail, or are abandoned. Used by the tests of teams and engines in place of sleeps.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { internal } from '../../../src/base/internal.js';
import { runAtOnce } from '../../../src/base/time-slice.js';
import type { Engine } from '../../../src/engine.js';
import type { Addon, ProductTraits } from '../../../src/native/addon.js';
import { loadAddon } from '../../../src/native/load.js';
import { type CallOptions, defineOp } from '../../../src/ops/op.js';
import { BlockStorage } from '../../../src/program/block-storage.js';
import { CompiledProgram } from '../../../src/program/compiled-program.js';
import { Recorder } from '../../../src/program/recorder.js';
import { ProgramRun, Runner } from '../../../src/program/runner.js';
import { alignedBlock } from '../../../src/team/aligned-block.js';
import { Team, type TeamOptions } from '../../../src/team/team.js';
import { Tensor } from '../../../src/tensor/tensor.js';
import { TensorPool } from '../../../src/tensor/tensor-pool.js';

/** The numbers of CheckpointMode in native/kernels/checkpoint.h. */
const modes = { wait: 0, fail: 1, abandon: 2 } as const;
export type CheckpointMode = keyof typeof modes;

/** So many that the calling thread never computes a program with a checkpoint, at whose gate it would wait for ever. */
const checkpointFlops = 1e15;

interface CheckpointArgs extends CallOptions {
  readonly gate: Tensor;
  readonly tiles: number;
  readonly mode: CheckpointMode;
}

/** Counts arrivals in `out`. It is not in the registry, but `engine.call` and `builder.record` take any op. */
export const checkpointOp = defineOp({
  name: 'checkpoint',
  parameters: ['gate', 'tiles', 'mode'],
  inPlace: () => false,
  args: (args: CheckpointArgs) => args,
  operands: ({ gate }) => [gate],
  infer: () => ({ shape: [1], dtype: 'i32' }),
  record: (recorder, { gate, tiles, mode }, out) => recordCheckpoint(recorder, { arrived: out, gate, tiles, mode }),
});

function recordCheckpoint(
  recorder: Recorder,
  { arrived, gate, tiles, mode }: { arrived: Tensor; gate: Tensor; tiles: number; mode: CheckpointMode },
): void {
  const step = { kernel: 'checkpoint', tiles, flops: checkpointFlops, reads: [gate], writes: [arrived] };
  recorder.emit(step, (params) => params.pointer(arrived).pointer(gate).int(modes[mode]));
}

/** A tensor of one i32 in shared memory that belongs to no pool. */
function word(addon: Addon): Tensor<'i32'> {
  const block = alignedBlock(addon, 64);
  return new Tensor(internal, { dtype: 'i32', shape: [1], storage: new BlockStorage(block, addon.addressOf(block)) });
}

/** A gate at which tiles wait, and the number of tiles that have arrived there. */
export class Checkpoint {
  readonly arrived: Tensor<'i32'>;
  readonly gate: Tensor<'i32'>;

  /** @param engine whose pool the two words belong to; without one they belong to no pool, for teams without an engine */
  constructor(engine?: Engine) {
    const addon = loadAddon();
    this.arrived = engine === undefined ? word(addon) : engine.tensor([1], 'i32');
    this.gate = engine === undefined ? word(addon) : engine.tensor([1], 'i32');
  }

  open(): void {
    Atomics.store(this.gate.data, 0, 1);
  }

  close(): void {
    Atomics.store(this.gate.data, 0, 0);
  }

  get arrivals(): number {
    return Atomics.load(this.arrived.data, 0);
  }

  /** Resolves once this many tiles have arrived, counted from the construction of this checkpoint. */
  async reached(arrivals: number): Promise<void> {
    await until(() => this.arrivals >= arrivals);
  }

  /** Calls the op on an engine. */
  call(engine: Engine, options: { tiles?: number; mode?: CheckpointMode; signal?: AbortSignal } = {}): Promise<Tensor> {
    const { tiles = 1, mode = 'wait', ...rest } = options;
    return engine.call(checkpointOp, { gate: this.gate, tiles, mode, out: this.arrived, ...rest });
  }

  /** A program of `steps` equal steps, each of which waits for the one before. */
  program({ tiles = 1, mode = 'wait', steps = 1 }: { tiles?: number; mode?: CheckpointMode; steps?: number } = {}) {
    const { defaultBlockSizes: blockSizes, products } = loadAddon();
    const recorder = new Recorder({ threads: 1, blockSizes, products: products.ref as ProductTraits, zero: this.gate });
    for (let step = 0; step < steps; step++) {
      recordCheckpoint(recorder, { arrived: this.arrived, gate: this.gate, tiles, mode });
    }
    return runAtOnce(CompiledProgram.compile(loadAddon(), recorder.steps));
  }

  [Symbol.dispose](): void {
    this.arrived[Symbol.dispose]();
    this.gate[Symbol.dispose]();
  }
}

/** Turns the event loop until the condition holds. If it never does, the test runs into its time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}

/** A team without an engine. */
export function createTeam(options: Partial<TeamOptions> = {}): Promise<Team> {
  const addon = loadAddon();
  return Team.create({ addon, threads: 2, isa: addon.isas.at(-1) as string, cpus: 2, ...options });
}

/** Runs a program on a team. */
export async function runOn(team: Team, program: CompiledProgram, signal?: AbortSignal): Promise<void> {
  const addon = loadAddon();
  const pool = new TensorPool({ budgetBytes: 1, addressOf: (bytes) => addon.addressOf(bytes) });
  await new Runner(team, pool).run(new ProgramRun(program), signal, undefined);
}
