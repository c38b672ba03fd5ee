// Arranges what happens in a team: programs whose tiles stop at a gate, fail, or are abandoned, by the diagnostic kernel
// (native/kernels/checkpoint.h). Used by the tests of teams and engines instead of sleeping.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { runAtOnce } from '../../../src/base/time-slice.js';
import type { Engine } from '../../../src/engine.js';
import type { Addon, ProductTraits } from '../../../src/native/addon.js';
import { loadAddon } from '../../../src/native/load.js';
import { type CallOptions, defineOp } from '../../../src/ops/op.js';
import { CompiledProgram } from '../../../src/program/compiled-program.js';
import { ConstantStorage } from '../../../src/program/constant-storage.js';
import { Recorder } from '../../../src/program/recorder.js';
import { alignedBlock } from '../../../src/team/aligned-block.js';
import { Team, type TeamOptions } from '../../../src/team/team.js';
import { Tensor } from '../../../src/tensor/tensor.js';

/** The numbers of CheckpointMode. */
const modes = { wait: 0, fail: 1, abandon: 2 } as const;
export type CheckpointMode = keyof typeof modes;

/** So much that a program with a checkpoint is never computed on the calling thread, where it would wait for itself. */
const checkpointFlops = 1e15;

interface CheckpointArgs extends CallOptions {
  readonly gate: Tensor;
  readonly tiles: number;
  readonly mode: CheckpointMode;
}

/** Counts arrivals in `out`. Not in the registry: `engine.call` and `builder.record` take any op. */
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

/** An i32 word in shared memory that belongs to no pool. */
function word(addon: Addon): Tensor<'i32'> {
  const block = alignedBlock(addon, 64);
  return new Tensor({ dtype: 'i32', shape: [1], storage: new ConstantStorage(block, addon.addressOf(block)) });
}

/** A gate that tiles wait at, and the count of those that have come to it. */
export class Checkpoint {
  readonly arrived: Tensor<'i32'>;
  readonly gate: Tensor<'i32'>;

  /** @param engine whose pool the two words come from; without it they belong to nobody, for teams without an engine */
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

  /** Resolves once so many tiles have come, counted from the making of this checkpoint. */
  async reached(arrivals: number): Promise<void> {
    await until(() => this.arrivals >= arrivals);
  }

  /** As one op of an engine. */
  call(engine: Engine, options: { tiles?: number; mode?: CheckpointMode; signal?: AbortSignal } = {}): Promise<Tensor> {
    const { tiles = 1, mode = 'wait', ...rest } = options;
    return engine.call(checkpointOp, { gate: this.gate, tiles, mode, out: this.arrived, ...rest });
  }

  /** As a program of `steps` equal steps, each after the one before. */
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

/** Turns the event loop until the condition holds. A test that waits in vain runs into its own time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}

/** A team without an engine. */
export function createTeam(options: Partial<TeamOptions> = {}): Promise<Team> {
  const addon = loadAddon();
  return Team.create({ addon, threads: 2, isa: addon.isas.at(-1) as string, cpus: 2, ...options });
}
