// The addon's functions over an instance of the WebAssembly module, with the checks of native/binding/addon.cpp: types, lengths
// and alignment. Views must lie in the module's one memory. Made by load-wasm.ts.
import type { BlockSizes } from '../../machine/block-sizes.js';
import type { Addon, NativeFailure, NativeLayout, NativeTeamStats, ProductTraits } from '../addon.js';
import type { WasmExports } from './exports.js';
import type { WasmMemory } from './webassembly.js';

export interface WasmParts {
  readonly exports: WasmExports;
  readonly memory: WasmMemory;
  /** Whether a buffer is the memory's. */
  readonly owns: (buffer: object) => boolean;
  /** The address of memory for this many bytes, until the next call. */
  readonly borrow: (sizeBytes: number) => number;
  readonly fused: boolean;
  /** What loads the same module over the same memory in another thread. */
  readonly shared: unknown;
}

const cacheLineBytes = 64;
const layoutNames: readonly (keyof NativeLayout)[] = [
  'headerBytes',
  'headerTraceBytes',
  'tileTraceBytes',
  'recordBytes',
  'recordParamsBytes',
  'counterBytes',
  'controlBytes',
  'seatBytes',
  'scratchBytes',
  'seatStateBytes',
  'endingsOffsetBytes',
  'slots',
  'maxSeats',
  'callsEach',
];
/** One more than the largest value of a 32-bit parameter. */
const words32 = 2 ** 32 - 1;
const mostBudgetUs = 1_000_000;

export class WasmAddon implements Addon {
  readonly kernels: Addon['kernels'];
  readonly isas = ['portable'] as const;
  readonly layout: NativeLayout;
  readonly products: Readonly<Record<string, ProductTraits>>;
  readonly defaultBlockSizes: BlockSizes;
  readonly wasm: NonNullable<Addon['wasm']>;
  readonly #parts: WasmParts;
  readonly #exports: WasmExports;

  constructor(parts: WasmParts) {
    this.#parts = parts;
    const { exports } = parts;
    this.#exports = exports;
    this.wasm = { fused: parts.fused, shared: parts.shared };
    this.layout = Object.fromEntries(
      layoutNames.map((name, index) => [name, exports.layout(index)]),
    ) as unknown as NativeLayout;
    this.kernels = Array.from({ length: exports.kernel_count() }, (_, opcode) => ({
      name: this.#text(exports.kernel_name(opcode)),
      paramWords: exports.kernel_param_words(opcode),
    }));
    const [mr, nr, thinAcross, kc, nc, mc] = [0, 1, 2, 3, 4, 5].map((index) => exports.product(index)) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    this.products = { portable: { mr, nr, thinAcross } };
    this.defaultBlockSizes = { kc, nc, mc };
  }

  blockSizesValid({ kc, nc, mc }: BlockSizes): boolean {
    for (const size of [kc, nc, mc]) index(size, words32, 'a block size');
    return this.#exports.block_sizes_valid(kc, nc, mc) !== 0;
  }

  addressOf(bytes: ArrayBufferView): number {
    if (!ArrayBuffer.isView(bytes)) throw new TypeError('the argument must be a typed array');
    if (!this.#parts.owns(bytes.buffer)) throw new TypeError('the array is not in the memory of WebAssembly');
    return bytes.byteOffset;
  }

  adviseHugePages(): void {}

  releasePages(bytes: Uint8Array): void {
    this.addressOf(bytes);
    bytes.fill(0);
  }

  mapFile(): number {
    throw new Error('files cannot be mapped in WebAssembly');
  }

  unmapFile(): void {}

  controlInit(control: Uint8Array, options: Parameters<Addon['controlInit']>[1]): void {
    const { isa, seats, idleSpinNs, lingerUs, scratch } = options;
    if (isa !== 'portable') throw new Error(`WebAssembly has no kernel set ${isa}`);
    const { controlBytes, seatBytes, scratchBytes, maxSeats } = this.layout;
    index(seats, maxSeats + 1, 'seats');
    this.#exports.control_init(
      this.#block(control, controlBytes + (seats + 1) * seatBytes, 'the control block'),
      seats,
      index(idleSpinNs, words32, 'idleSpinNs'),
      index(lingerUs, words32, 'lingerUs'),
      this.#block(scratch, (seats + 1) * scratchBytes, 'the scratch memory'),
    );
  }

  checkProgram(program: Uint8Array, regions: Float64Array): { op: number; problem: string } | undefined {
    if (!(regions instanceof Float64Array)) throw new TypeError('the regions must be a Float64Array');
    const at = this.#parts.borrow(regions.byteLength);
    new Float64Array(this.#parts.memory.buffer, at, regions.length).set(regions);
    const problem = this.#exports.check_program(this.#program(program), at, Math.floor(regions.length / 3));
    return problem === 0 ? undefined : { op: this.#exports.fault_op(), problem: this.#text(problem) };
  }

  publish(control: Uint8Array, slot: number, program: Uint8Array, mostWorkers: number, next: number): void {
    const most = index(mostWorkers, this.layout.maxSeats + 1, 'mostWorkers');
    this.#exports.publish(
      this.#control(control),
      this.#slot(slot),
      this.#program(program),
      most,
      index(next, 2, 'next'),
    );
  }

  assist(control: Uint8Array, slot: number, program: Uint8Array, budgetUs: number): boolean {
    const budget = index(budgetUs, mostBudgetUs, 'budgetUs');
    return this.#exports.assist(this.#control(control), this.#slot(slot), this.#program(program), budget) !== 0;
  }

  slotIsFree(control: Uint8Array, slot: number): boolean {
    return this.#exports.slot_is_free(this.#control(control), this.#slot(slot)) !== 0;
  }

  runState(control: Uint8Array, slot: number, program: Uint8Array): number {
    return this.#exports.run_state(this.#control(control), this.#slot(slot), this.#program(program));
  }

  failure(control: Uint8Array, slot: number): NativeFailure | undefined {
    return describeFailure(this.#exports.failure(this.#control(control), this.#slot(slot)));
  }

  cancel(control: Uint8Array, slot: number): void {
    this.#exports.cancel(this.#control(control), this.#slot(slot));
  }

  retire(control: Uint8Array, slot: number, program: Uint8Array): void {
    this.#exports.retire(this.#control(control), this.#slot(slot), this.#program(program));
  }

  bury(control: Uint8Array, seat: number): number {
    const address = this.#control(control);
    return this.#exports.bury(address, index(seat, this.#exports.seat_count(address), 'seat'));
  }

  callToShift(control: Uint8Array, seats: Uint8Array, most: number, next: number): number {
    if (!(seats instanceof Uint8Array)) throw new TypeError('the seats must be a Uint8Array');
    if (seats.length < this.layout.callsEach) throw new RangeError('the seats are too few');
    const wanted = index(most, this.layout.maxSeats + 1, 'most');
    const count = this.#exports.call_to_shift(this.#control(control), wanted, index(next, 2, 'next'));
    if (count > 0) seats.set(new Uint8Array(this.#parts.memory.buffer, this.#exports.called_seats() >>> 0, count));
    return count;
  }

  closeTeam(control: Uint8Array): void {
    this.#exports.close_team(this.#control(control));
  }

  runInline(control: Uint8Array, program: Uint8Array): NativeFailure | undefined {
    return describeFailure(this.#exports.run_inline(this.#control(control), this.#program(program)));
  }

  teamStats(control: Uint8Array): NativeTeamStats {
    const address = this.#control(control);
    const workers = this.#exports.seat_count(address);
    const sum = (seats: number, read: (seat: number) => number) => {
      let total = 0;
      for (let seat = 0; seat < seats; seat++) total += read(seat);
      return total;
    };
    return {
      ops: this.kernels.map(({ name }, opcode) => ({
        op: name,
        tiles: sum(workers + 1, (seat) => this.#exports.op_tiles(address, seat, opcode)),
        ns: sum(workers + 1, (seat) => this.#exports.op_ns(address, seat, opcode)),
      })),
      sleeps: sum(workers, (seat) => this.#exports.sleeps(address, seat)),
      spinsWon: sum(workers, (seat) => this.#exports.spins_won(address, seat)),
      calls: sum(workers, (seat) => this.#exports.calls(address, seat)),
    };
  }

  takeSeat(control: Uint8Array, seat: number): void {
    const address = this.#control(control);
    index(seat, this.#exports.seat_count(address), 'seat');
    // Each thread has a stack of its own in the memory.
    this.#exports.__stack_pointer.value = this.#exports.stack_of(address, seat);
    this.#exports.take_seat(address, seat);
  }

  callAnother(control: Uint8Array, seat: number): number {
    const address = this.#control(control);
    return this.#exports.call_another(address, index(seat, this.#exports.seat_count(address), 'seat'));
  }

  work(control: Uint8Array, seat: number): number {
    const address = this.#control(control);
    return this.#exports.work(address, index(seat, this.#exports.seat_count(address), 'seat'));
  }

  #slot(slot: number): number {
    return index(slot, this.layout.slots, 'slot');
  }

  #control(bytes: Uint8Array): number {
    const { controlBytes, seatBytes } = this.layout;
    const address = this.#block(bytes, controlBytes, 'the control block');
    this.#block(bytes, controlBytes + (this.#exports.seat_count(address) + 1) * seatBytes, 'the control block');
    return address;
  }

  #program(bytes: Uint8Array): number {
    const { headerBytes, recordBytes, counterBytes } = this.layout;
    const address = this.#block(bytes, headerBytes, 'the program');
    const ops = this.#exports.op_count(address) >>> 0;
    this.#block(bytes, headerBytes + ops * (recordBytes + counterBytes), 'the program');
    return address;
  }

  /** The address of a Uint8Array that is aligned to a cache line and has at least `bytes` bytes. */
  #block(view: Uint8Array, bytes: number, what: string): number {
    if (!(view instanceof Uint8Array)) throw new TypeError(`${what} must be a Uint8Array`);
    const address = this.addressOf(view);
    if (address % cacheLineBytes !== 0) throw new RangeError(`${what} is not aligned`);
    if (view.length < bytes) throw new RangeError(`${what} is too short`);
    return address;
  }

  /** The text that ends with a zero at an address. */
  #text(pointer: number): string {
    const address = pointer >>> 0;
    const bytes = new Uint8Array(this.#parts.memory.buffer, address);
    return String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)));
  }
}

/** A number from 0 to limit - 1, without its fraction. */
function index(value: number, limit: number, what: string): number {
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number`);
  if (!(value >= 0 && value < limit)) throw new RangeError(`${what} is out of range`);
  return Math.floor(value);
}

/** What pack_failure of native/core/control.h has packed; 0 is none. */
function describeFailure(packed: bigint): NativeFailure | undefined {
  if (packed === 0n) return undefined;
  const failure = BigInt.asUintN(64, packed);
  return {
    status: Number(failure >> 56n),
    op: Number((failure >> 32n) & 0xffffffn),
    tile: Number(failure & 0xffffffffn),
  };
}
