// A recorded program as the team runs it: its records and counters in shared memory, in the layout of native/core/op.h
// and control.h, and the list of storages that it accesses. Owns none of them: the runner pins them for each run.
import { TesseraeError } from '../base/errors.js';
import type { Addon, NativeFailure } from '../native/addon.js';
import { KernelStatus } from '../native/addon.js';
import { alignedBlock } from '../team/aligned-block.js';
import type { TeamProgram } from '../team/team-run.js';
import type { Storage } from '../tensor/memory/storage.js';
import { storageOf } from '../tensor/tensor.js';
import { planArena, planOrder, planWidth } from './plan.js';
import { type StepSummary, summarize } from './profile.js';
import { arenaOfCheck, checkProgram } from './program-check.js';
import type { Step } from './recorder.js';
import { TemporaryStorage } from './temporary-storage.js';

/** A pointer into the arena. */
interface ArenaPointer {
  /** Index of its first 32-bit word in the block. */
  readonly word: number;
  /** Offset from the arena's start. */
  readonly byteOffset: number;
}

// Rough speed of one thread. The estimates below decide only which threads run a program, never what it computes.
const flopsPerNs = 60;
const bytesPerNs = 15;
/** Cost of handing a program to the team: the calling thread alone computes a shorter program faster. */
const shareFromNs = 20_000;
/** The calling thread assists with shorter programs: it can begin at once, and notices the end without a message. */
const assistBelowNs = 700_000;
/** The longest time for which it does. Fast machines are done long before. */
const assistUs = 400;
/** The same if the workers leave CPUs free: only for programs that would end before a worker is awake. */
const extraAssistBelowNs = 150_000;
/** If all workers must be woken, it assists with any program whose tiles are at most this long, until they are awake. */
const longestOwnTileNs = 300_000;
const wakeAssistUs = 150;
/** Overhead of a call. */
const callNs = 500;
/** Records that are written between two yields. */
const recordsPerSlice = 32;

export class CompiledProgram implements TeamProgram {
  readonly block: Uint8Array;
  readonly width: number;
  /** The kernel of each step. */
  readonly kernels: readonly string[];
  /** What a profile reports of each step. The steps themselves are not kept, because they keep their tensors alive. */
  readonly steps: readonly StepSummary[];
  readonly flops: number;
  /** Bytes of memory that a run needs for temporaries, at 64-byte alignment. */
  readonly arenaBytes: number;
  /** The storages that it accesses outside the arena: inputs, weights, outputs. */
  readonly externals: readonly Storage[];
  /** Whether the calling thread computes it alone, before the call returns. */
  readonly isTiny: boolean;
  /** The estimated time that the calling thread takes for it alone. */
  readonly inlineNs: number;
  readonly assistUs: number;
  readonly extraAssistUs: number;
  readonly wakeAssistUs: number;
  /** Size of the memory for {@link placeTrace}. */
  readonly traceBytes: number;
  readonly #words: Uint32Array;
  readonly #traceWord: number;
  #tiles = 0;
  readonly #arenaPointers: ArenaPointer[] = [];
  #arenaAddress = Number.NaN;

  private constructor(addon: Addon, steps: readonly Step[], order: readonly number[], arenaBytes: number) {
    this.kernels = steps.map((step) => step.kernel);
    this.steps = steps.map((step, index) => summarize(step, order[index] as number));
    this.flops = steps.reduce((flops, step) => flops + step.flops, 0);
    this.arenaBytes = arenaBytes;
    this.width = planWidth(steps, order);
    const { headerBytes, recordBytes, counterBytes } = addon.layout;
    this.block = alignedBlock(addon, headerBytes + steps.length * (recordBytes + counterBytes));
    this.#words = new Uint32Array(this.block.buffer, this.block.byteOffset, this.block.byteLength / 4);
    this.#words[0] = steps.length;
    const ns = steps.reduce((sum, step) => sum + estimateNs(step), 0);
    const longestTileNs = steps.reduce((longest, step) => Math.max(longest, estimateNs(step) / step.tiles), 0);
    const mayAssist = steps.every(({ by }) => by !== 'workers');
    this.isTiny = ns < shareFromNs && steps.every(({ by }) => by === undefined);
    this.inlineNs = ns + callNs;
    this.assistUs = mayAssist && ns < assistBelowNs ? assistUs : 0;
    this.extraAssistUs = mayAssist && ns < extraAssistBelowNs ? extraAssistBelowNs / 1000 : 0;
    this.wakeAssistUs = mayAssist && longestTileNs < longestOwnTileNs ? wakeAssistUs : 0;
    this.externals = externalsOf(steps);
    this.traceBytes = addon.layout.tileTraceBytes * steps.reduce((tiles, step) => tiles + step.tiles, 0);
    this.#traceWord = addon.layout.headerTraceBytes / 4;
  }

  /** Plans and writes a program. A generator, so that a long program can be compiled in slices. */
  static *compile(addon: Addon, steps: readonly Step[]): Generator<void, CompiledProgram> {
    const arenaBytes = planArena(steps);
    yield;
    const order = planOrder(steps);
    yield;
    const program = new CompiledProgram(addon, steps, order, arenaBytes);
    yield;
    for (let index = 0; index < steps.length; index++) {
      program.#writeRecord(addon, steps[index] as Step, index, order[index] as number);
      if (index % recordsPerSlice === recordsPerSlice - 1) yield;
    }
    program.placeArena(arenaOfCheck);
    const { block, kernels, externals } = program;
    checkProgram(addon, { block, kernels, externals, arenaBytes, written: writtenBy(steps) });
    return program;
  }

  /** Sets the address of the arena. Not while the program runs. */
  placeArena(address: number): void {
    if (address === this.#arenaAddress) return;
    this.#arenaAddress = address;
    for (const { word, byteOffset } of this.#arenaPointers) this.#writeWord(word, address + byteOffset);
  }

  /** Sets the address of the trace that its runs write; 0 for no trace. Not while the program runs. */
  placeTrace(address: number): void {
    this.#writeWord(this.#traceWord, address);
  }

  describeFailure(failure: NativeFailure): Error {
    const kernel = this.kernels[failure.op] ?? `op ${failure.op}`;
    // The op's name in the API: each kernel that can fail has the name of its op.
    const op = kernel.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (failure.status === KernelStatus.indexOutOfRange) {
      return new TesseraeError('ERR_INDEX', 'an index is outside the table', { op });
    }
    if (failure.status === KernelStatus.valueOutOfRange) {
      return new TesseraeError('ERR_ARGUMENT', 'a value is NaN, infinite, or too large for the type', { op });
    }
    return new TesseraeError('ERR_KERNEL', `tile ${failure.tile} failed with status ${failure.status}`, { op });
  }

  #writeRecord(addon: Addon, step: Step, index: number, after: number): void {
    const opcode = addon.kernels.findIndex((kernel) => kernel.name === step.kernel);
    const kernel = addon.kernels[opcode];
    if (kernel === undefined) throw new TesseraeError('ERR_NATIVE', `the addon has no kernel ${step.kernel}`);
    if (kernel.paramWords !== step.params.length) {
      const counts = `${kernel.paramWords} parameters, ${step.params.length} were recorded`;
      throw new TesseraeError('ERR_NATIVE', `the addon's kernel ${step.kernel} takes ${counts}`);
    }
    const { headerBytes, recordBytes, recordParamsBytes } = addon.layout;
    const start = (headerBytes + index * recordBytes) / 4;
    this.#words[start] = opcode;
    this.#words[start + 1] = step.tiles;
    this.#words[start + 2] = after;
    this.#words[start + 3] = this.#tiles;
    this.#tiles += step.tiles;
    step.params.forEach((param, position) => {
      const word = start + recordParamsBytes / 4 + 2 * position;
      if (typeof param === 'number') {
        this.#writeWord(word, param);
      } else if (param.kind === 'double') {
        new DataView(this.block.buffer).setFloat64(this.block.byteOffset + word * 4, param.value, true);
      } else if (isInArena(param.storage)) {
        const byteOffset = (param.storage as TemporaryStorage).arenaOffset + param.byteOffset;
        this.#arenaPointers.push({ word, byteOffset });
      } else {
        this.#writeWord(word, param.storage.address + param.byteOffset);
      }
    });
  }

  /** Writes a safe integer as 64 bits in two's complement. */
  #writeWord(word: number, value: number): void {
    this.#words[word] = value >>> 0;
    this.#words[word + 1] = Math.floor(value / 2 ** 32);
  }
}

function externalsOf(steps: readonly Step[]): Storage[] {
  const externals = new Set<Storage>();
  for (const { reads, writes } of steps) {
    for (const tensor of reads) if (!isInArena(storageOf(tensor))) externals.add(storageOf(tensor));
    for (const tensor of writes) if (!isInArena(storageOf(tensor))) externals.add(storageOf(tensor));
  }
  return [...externals];
}

function writtenBy(steps: readonly Step[]): Set<Storage> {
  const written = new Set<Storage>();
  for (const { writes } of steps) for (const tensor of writes) written.add(storageOf(tensor));
  return written;
}

function isInArena(storage: Storage): boolean {
  return storage instanceof TemporaryStorage && storage.arenaOffset >= 0;
}

function estimateNs(step: Step): number {
  let bytes = 0;
  for (const tensor of step.reads) bytes += tensor.sizeBytes;
  for (const tensor of step.writes) bytes += tensor.sizeBytes;
  return step.flops / flopsPerNs + bytes / bytesPerNs;
}
