// What the WebAssembly module exports, for src/native/wasm: the functions of the binding with addresses and numbers as
// arguments. The caller checks them, as the binding does for Node-API. All threads instantiate the module over one memory.
#ifdef __wasm_relaxed_simd__
#include <wasm_simd128.h>
#endif

#include <cstddef>
#include <cstdint>

#include "core/executor.h"
#include "core/program_check.h"
#include "kernels/block_sizes.h"
#include "kernels/table.h"

using namespace tesserae;

#define EXPORT(name) extern "C" [[clang::export_name(#name)]]

namespace {

// The compiler refuses functions that need more than a quarter of it (CMakeLists.txt).
constexpr uint32_t kStackBytes = 256 << 10;

ProgramFault fault = {};
uint8_t called[kCallsEach];

}  // namespace

// What a worker calls before it has a stack of its own (up to stack_of) must keep nothing in memory: its stack pointer is
// still that of the main thread, which may be in a function meanwhile.

// Sizes and offsets, in the order of NativeLayout in src/native/addon.ts.
EXPORT(layout) double layout(uint32_t index) {
  static constexpr double kNumbers[] = {
      sizeof(ProgramHeader), offsetof(ProgramHeader, trace), sizeof(TileTrace),
      sizeof(OpRecord),      offsetof(OpRecord, params),     sizeof(OpCounters),
      sizeof(Control),       sizeof(Seat),                   kScratchBytes + kStackBytes,
      offsetof(Seat, state), offsetof(Control, endings),     kSlots,
      kMaxSeats,             kCallsEach,
  };
  return index < sizeof(kNumbers) / sizeof(kNumbers[0]) ? kNumbers[index] : -1;
}

EXPORT(kernel_count) uint32_t count_of_kernels() { return kernel_count(); }
EXPORT(kernel_name) const char* kernel_name(uint32_t opcode) { return kernel_info(opcode).name; }
EXPORT(kernel_param_words) uint32_t kernel_param_words(uint32_t opcode) { return kernel_info(opcode).params_bytes / 8; }

// mr, nr and thinAcross of the portable set, the only one; then the default kc, nc and mc.
EXPORT(product) double product(uint32_t index) {
  const KernelSet& set = kernel_set(Isa::portable);
  switch (index) {
    case 0: return static_cast<double>(set.micro_rows);
    case 1: return static_cast<double>(set.micro_columns);
    case 2: return static_cast<double>(set.thin_across);
    case 3: return static_cast<double>(kDefaultBlockSizes.kc);
    case 4: return static_cast<double>(kDefaultBlockSizes.nc);
    default: return static_cast<double>(kDefaultBlockSizes.mc);
  }
}
EXPORT(block_sizes_valid) bool block_sizes_are_valid(double kc, double nc, double mc) {
  return block_sizes_valid({static_cast<int64_t>(kc), static_cast<int64_t>(nc), static_cast<int64_t>(mc)});
}

EXPORT(control_init)
void init_control(Control& control, uint32_t seats, uint32_t idle_spin_ns, uint32_t linger_us, unsigned char* scratch) {
  control_init(control, {static_cast<uint32_t>(Isa::portable), seats, idle_spin_ns, uint64_t{linger_us} * 1000, scratch});
}
// Where the stack of a seat's worker begins; it grows downwards. The stacks follow the scratch memory of all seats.
EXPORT(stack_of) uintptr_t stack_of(Control& control, uint32_t seat) {
  const auto scratch = static_cast<uintptr_t>(control.seats()[0].scratch);
  return scratch + (control.seat_count + 1) * kScratchBytes + (seat + 1) * kStackBytes;
}

// The fault's description, or null; then fault_op is the op's index.
EXPORT(check_program) const char* check(ProgramHeader& program, const Region* regions, uint32_t count) {
  fault = check_program(program, regions, count);
  return fault.problem;
}
EXPORT(fault_op) double fault_op() { return static_cast<double>(fault.op); }

EXPORT(publish)
void publish_program(Control& control, uint32_t slot, ProgramHeader& program, uint32_t most_workers, uint32_t next) {
  publish(control, slot, program, most_workers, static_cast<CallerNext>(next));
}
EXPORT(assist) bool assist_program(Control& control, uint32_t slot, const ProgramHeader& program, uint32_t budget_us) {
  return assist(control, slot, program, uint64_t{budget_us} * 1000);
}
EXPORT(slot_is_free) bool is_slot_free(const Control& control, uint32_t slot) { return slot_is_free(control, slot); }
EXPORT(run_state) int32_t state_of_run(const Control& control, uint32_t slot, const ProgramHeader& program) {
  return static_cast<int32_t>(run_state(control, slot, program));
}
// The three parts of a failure as the executor packs it: its status is 0 if there is none.
EXPORT(failure) uint64_t failure_of(const Control& control, uint32_t slot) {
  return control.slots[slot].failure.load(std::memory_order_seq_cst);
}
EXPORT(cancel) void cancel_run(Control& control, uint32_t slot) { cancel(control, slot); }
EXPORT(retire) void retire_run(Control& control, uint32_t slot, ProgramHeader& program) { retire(control, slot, program); }
EXPORT(bury) int32_t bury_seat(Control& control, uint32_t seat) { return bury(control, seat); }
EXPORT(call_to_shift) uint32_t call_seats(Control& control, uint32_t most, uint32_t next) {
  return call_to_shift(control, called, most, static_cast<CallerNext>(next));
}
EXPORT(called_seats) const uint8_t* called_seats() { return called; }
EXPORT(close_team) void close(Control& control) { close_team(control); }
EXPORT(run_inline) uint64_t run(Control& control, ProgramHeader& program) { return run_inline(control, program); }
EXPORT(seat_count) uint32_t seat_count(const Control& control) { return control.seat_count; }
EXPORT(op_count) uint32_t op_count(const ProgramHeader& program) { return program.op_count; }

EXPORT(op_tiles) double op_tiles(Control& control, uint32_t seat, uint32_t opcode) {
  return static_cast<double>(control.seats()[seat].op_tiles[opcode].load(std::memory_order_relaxed));
}
EXPORT(op_ns) double op_ns(Control& control, uint32_t seat, uint32_t opcode) {
  return static_cast<double>(control.seats()[seat].op_ns[opcode].load(std::memory_order_relaxed));
}
EXPORT(sleeps) double sleeps(Control& control, uint32_t seat) {
  return static_cast<double>(control.seats()[seat].sleeps.load(std::memory_order_relaxed));
}
EXPORT(spins_won) double spins_won(Control& control, uint32_t seat) {
  return static_cast<double>(control.seats()[seat].spins_won.load(std::memory_order_relaxed));
}
EXPORT(calls) double calls(Control& control, uint32_t seat) {
  return static_cast<double>(control.seats()[seat].calls.load(std::memory_order_relaxed));
}

EXPORT(take_seat) void seat_taken(Control& control, uint32_t seat) { take_seat(control, seat); }
EXPORT(call_another) int32_t call_another_seat(Control& control, uint32_t seat) { return call_another(control, seat); }
EXPORT(work) int32_t work_on_seat(Control& control, uint32_t seat) { return static_cast<int32_t>(work(control, seat)); }

// Whether the engine's relaxed multiplication and addition rounds once, as all kernels count on. The products are
// (1 + 2^-12)² - (1 + 2^-11) = 2^-24 and the same in double precision; rounded twice they are 0.
EXPORT(fuses) bool fuses(float a, float c, double b, double d) {
#ifdef __wasm_relaxed_simd__
  const v128_t single = wasm_f32x4_relaxed_madd(wasm_f32x4_splat(a), wasm_f32x4_splat(a), wasm_f32x4_splat(c));
  const v128_t twice = wasm_f64x2_relaxed_madd(wasm_f64x2_splat(b), wasm_f64x2_splat(b), wasm_f64x2_splat(d));
  return wasm_f32x4_extract_lane(single, 3) == 0x1p-24f && wasm_f64x2_extract_lane(twice, 1) == 0x1p-54;
#else
  return static_cast<void>(a), static_cast<void>(b), static_cast<void>(c), static_cast<void>(d), true;
#endif
}
