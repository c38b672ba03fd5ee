// A recorded program as the team runs it: records and counters in shared memory, with the list of what it touches.
// Writes the layout of native/core/op.h and control.h. Owns no tensors: the engine pins and places them.
import { TesseraeError } from '../base/errors.js';
import type { Addon, NativeFailure } from '../native/addon.js';
import { KernelStatus } from '../native/addon.js';
import { alignedBlock } from '../team/aligned-block.js';
import type { TeamProgram } from '../team/team-run.js';
import type { Storage } from '../tensor/memory/storage.js';
import { planArena, planOrder, planWidth } from './plan.js';
import { type StepSummary, summarize } from './profile.js';
import type { Step } from './recorder.js';
import { TemporaryStorage } from './temporary-storage.js';

/** A pointer into the arena: which 8-byte word of the block, and the offset from the arena's start. */
interface ArenaPointer {
  readonly word: number;
  readonly byteOffset: number;
}

// What a thread of this class of machine does per nanosecond, roughly: decides only where a program runs, never what
// it computes.
const flopsPerNs = 60;
const bytesPerNs = 15;
/** Handing a program to the team costs about this much; below it the calling thread is faster. */
const shareFromNs = 20_000;
/** Up to here the calling thread works on a shared program too: it begins at once, and need not be told of the end. */
const assistBelowNs = 700_000;
/** For no longer than this. Fast machines are done long before. */
const assistUs = 400;
/** The same where it would be one thread more than the workers: only for what is over before a worker is awake. */
const extraAssistBelowNs = 150_000;
/** Where workers must be woken first it works on any program whose tiles are no longer than this, until they are up. */
const longestOwnTileNs = 300_000;
const wakeAssistUs = 150;
/** What a call costs beside its work. */
const callNs = 500;
/** Records written between two chances to rest. */
const recordsPerSlice = 32;

export class CompiledProgram implements TeamProgram {
  readonly block: Uint8Array;
  readonly width: number;
  /** The kernel of each step. */
  readonly kernels: readonly string[];
  /** What a profile tells of each step. The steps themselves are not kept: they would keep their tensors alive. */
  readonly steps: readonly StepSummary[];
  readonly flops: number;
  /** Bytes of scratch memory that a run needs for temporaries, at 64-byte alignment. */
  readonly arenaBytes: number;
  /** Everything that it touches but does not hold: inputs, weights, outputs. */
  readonly externals: readonly Storage[];
  /** Small enough to be computed at once on the calling thread. */
  readonly isTiny: boolean;
  /** How long the calling thread alone takes for it, roughly. */
  readonly inlineNs: number;
  readonly assistUs: number;
  readonly extraAssistUs: number;
  readonly wakeAssistUs: number;
  /** What {@link placeTrace} needs. */
  readonly traceBytes: number;
  readonly #words: Uint32Array;
  readonly #traceWord: number;
  #tiles = 0;
  readonly #arenaPointers: ArenaPointer[] = [];
  #arenaAddress = Number.NaN;

  private constructor(addon: Addon, steps: readonly Step[], arenaBytes: number, width: number) {
    this.kernels = steps.map((step) => step.kernel);
    this.steps = steps.map(summarize);
    this.flops = steps.reduce((flops, step) => flops + step.flops, 0);
    this.arenaBytes = arenaBytes;
    this.width = width;
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

  /** Plans and writes a program. A generator, so that long programs can be compiled in slices. */
  static *compile(addon: Addon, steps: readonly Step[]): Generator<void, CompiledProgram> {
    const arenaBytes = planArena(steps);
    yield;
    const order = planOrder(steps);
    yield;
    const width = planWidth(steps, order);
    yield;
    const program = new CompiledProgram(addon, steps, arenaBytes, width);
    yield;
    for (let index = 0; index < steps.length; index++) {
      program.#writeRecord(addon, steps[index] as Step, index, order[index] as number);
      if (index % recordsPerSlice === recordsPerSlice - 1) yield;
    }
    return program;
  }

  /** Tells the program where its arena is. Not while it runs. */
  placeArena(address: number): void {
    if (address === this.#arenaAddress) return;
    this.#arenaAddress = address;
    for (const { word, byteOffset } of this.#arenaPointers) this.#writeWord(word, address + byteOffset);
  }

  /** Tells the program where its runs write who computed which tile when; 0 for nowhere. Not while it runs. */
  placeTrace(address: number): void {
    this.#writeWord(this.#traceWord, address);
  }

  describeFailure(failure: NativeFailure): Error {
    const kernel = this.kernels[failure.op] ?? `op ${failure.op}`;
    // As the API spells it: of the kernels that can fail each is named for its op.
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

  /** Writes a safe integer as 64 bits, two's complement. */
  #writeWord(word: number, value: number): void {
    this.#words[word] = value >>> 0;
    this.#words[word + 1] = Math.floor(value / 2 ** 32);
  }
}

function externalsOf(steps: readonly Step[]): Storage[] {
  const externals = new Set<Storage>();
  for (const { reads, writes } of steps) {
    for (const { storage } of reads) if (!isInArena(storage)) externals.add(storage);
    for (const { storage } of writes) if (!isInArena(storage)) externals.add(storage);
  }
  return [...externals];
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
