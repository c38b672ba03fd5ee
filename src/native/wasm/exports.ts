// What the WebAssembly module exports (native/wasm/exports.cpp). Addresses are numbers of 32 bits, which come back with a sign.
// Used by this folder alone.

export interface WasmExports {
  readonly __stack_pointer: { value: number };
  readonly __heap_base: { readonly value: number };
  fuses(a: number, c: number, b: number, d: number): number;
  layout(index: number): number;
  kernel_count(): number;
  kernel_name(opcode: number): number;
  kernel_param_words(opcode: number): number;
  product(index: number): number;
  block_sizes_valid(kc: number, nc: number, mc: number): number;
  control_init(control: number, seats: number, idleSpinNs: number, lingerUs: number, scratch: number): void;
  stack_of(control: number, seat: number): number;
  check_program(program: number, regions: number, count: number): number;
  fault_op(): number;
  publish(control: number, slot: number, program: number, mostWorkers: number, next: number): void;
  assist(control: number, slot: number, program: number, budgetUs: number): number;
  slot_is_free(control: number, slot: number): number;
  run_state(control: number, slot: number, program: number): number;
  failure(control: number, slot: number): bigint;
  cancel(control: number, slot: number): void;
  retire(control: number, slot: number, program: number): void;
  bury(control: number, seat: number): number;
  call_to_shift(control: number, most: number, next: number): number;
  called_seats(): number;
  close_team(control: number): void;
  run_inline(control: number, program: number): bigint;
  seat_count(control: number): number;
  op_count(program: number): number;
  op_tiles(control: number, seat: number, opcode: number): number;
  op_ns(control: number, seat: number, opcode: number): number;
  sleeps(control: number, seat: number): number;
  spins_won(control: number, seat: number): number;
  calls(control: number, seat: number): number;
  take_seat(control: number, seat: number): void;
  call_another(control: number, seat: number): number;
  work(control: number, seat: number): number;
}
