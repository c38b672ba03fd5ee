// The coordinator's side of the executor: the control block, publishing, ending and cancelling programs, and computing on
// the calling thread. See executor.h, and src/team/README.md for the protocol as a whole.
#include <algorithm>

#include "core/bell.h"
#include "core/clock.h"
#include "core/executor.h"
#include "core/spin.h"
#include "core/visit.h"
#include "kernels/table.h"

namespace tesserae {
namespace {

// Whether the current run is finished. Called by the coordinator only: workers do not read program.run. A thread that
// sees the prefix at the end sees the outputs of all tiles.
bool at_end(const ProgramHeader& program) {
  return program.prefix.load(std::memory_order_seq_cst) >= (program.run + 1) * program.op_count;
}

}  // namespace

void control_init(Control& control, const TeamOptions& options) {
  control.isa = options.isa;
  control.seat_count = options.seats;
  control.idle_spin_ns = options.idle_spin_ns;
  control.linger_ns = options.linger_ns;
  control.coordinator_cpu.store(-1, std::memory_order_relaxed);
  for (uint32_t i = 0; i <= options.seats; ++i) {
    Seat& seat = control.seats()[i];
    seat.last_slot = kSlots - 1;
    seat.cpu.store(-1, std::memory_order_relaxed);
    seat.spin_ns = kSpinMaxNs;
    seat.idle_losses = kIdleLosses;
    seat.scratch = reinterpret_cast<uint64_t>(options.scratch + size_t{i} * kScratchBytes);
  }
}

bool slot_is_free(const Control& control, uint32_t slot) {
  return control.slots[slot].program.load(std::memory_order_seq_cst) == 0 &&
         control.slots[slot].visitors.load(std::memory_order_seq_cst) == 0;
}

void publish(Control& control, uint32_t slot_index, ProgramHeader& program, uint32_t most_workers, CallerNext next) {
  Slot& slot = control.slots[slot_index];
  control.coordinator_cpu.store(current_cpu(), std::memory_order_relaxed);
  slot.run = program.run;
  slot.failure.store(0, std::memory_order_relaxed);
  slot.cancelled.store(0, std::memory_order_relaxed);
  // Publishes the run number, the records and the operands to the visitors.
  slot.program.store(reinterpret_cast<uint64_t>(&program), std::memory_order_seq_cst);
  // After the store of `program`, so that a worker that sees the bit finds the program. And before the caller reads the
  // seats' states; a worker that ends its shift stores its state before it reads `live`. Either it sees the bit, or the
  // caller sees that a new shift is needed.
  control.live.fetch_or(uint64_t{1} << slot_index, std::memory_order_seq_cst);
  // A worker may have entered the slot before the bit was set, and have finished or failed the run already. Then it
  // cleared the bit before this thread set it, and the prefix or `cancelled`, written before that, is visible here.
  if (slot.cancelled.load(std::memory_order_seq_cst) != 0 || at_end(program)) {
    control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
    return;
  }
  const uint64_t tiles = opened_tiles(program.records(), program.op_count, 0, 0, most_workers);
  ring(control, std::min<uint64_t>(tiles, most_workers), next == CallerNext::rests ? WakeFirst::here : WakeFirst::elsewhere);
}

RunState run_state(const Control& control, uint32_t slot_index, const ProgramHeader& program) {
  const Slot& slot = control.slots[slot_index];
  // Read before the prefix: when no visitor is left, the prefix cannot move any more. In the other order a run that its
  // last visitor finished in between could be reported as drained.
  const bool quiet =
      slot.cancelled.load(std::memory_order_seq_cst) != 0 && slot.visitors.load(std::memory_order_seq_cst) == 0;
  if (at_end(program)) return RunState::finished;
  return quiet ? RunState::drained : RunState::running;
}

void cancel(Control& control, uint32_t slot_index) {
  // The bit is cleared first. Otherwise a worker that sees the bit would enter the cancelled program, leave it as the
  // last visitor, report an ending, and enter again, for as long as this thread is descheduled between the two stores.
  control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
  control.slots[slot_index].cancelled.store(1, std::memory_order_seq_cst);
}

void retire(Control& control, uint32_t slot_index, ProgramHeader& program) {
  const bool finished = run_state(control, slot_index, program) == RunState::finished;
  control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
  // A worker that enters from here on finds no program. One that entered before is still counted in `visitors`, and
  // sees `cancelled` or the prefix at the run's end.
  control.slots[slot_index].program.store(0, std::memory_order_seq_cst);
  ++program.run;
  if (finished) return;
  OpCounters* counters = program.counters();
  for (uint32_t op = 0; op < program.op_count; ++op) {
    const uint64_t end = program.run * program.records()[op].tile_count;
    counters[op].claimed.store(end, std::memory_order_relaxed);
    counters[op].done.store(end, std::memory_order_relaxed);
  }
  program.prefix.store(program.run * program.op_count, std::memory_order_release);
}

int32_t bury(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  const uint32_t inside = seat.inside.exchange(0, std::memory_order_seq_cst);
  if (inside != 0) {
    cancel(control, inside - 1);
    control.slots[inside - 1].visitors.fetch_sub(1, std::memory_order_seq_cst);
  }
  seat.state.store(static_cast<uint32_t>(SeatState::away), std::memory_order_seq_cst);
  // The dead worker may have been about to take a tile for which no other worker was woken: wake all.
  ring_for_all(control);
  return static_cast<int32_t>(inside) - 1;
}

void close_team(Control& control) {
  control.closing.store(1, std::memory_order_seq_cst);
  ring_for_all(control);
}

bool assist(Control& control, uint32_t slot_index, const ProgramHeader& program, uint64_t budget_ns) {
  const Slot& slot = control.slots[slot_index];
  Seat& seat = control.seats()[control.seat_count];
  const uint64_t end = now_ns() + budget_ns;
  const auto over = [&] { return at_end(program) || slot.cancelled.load(std::memory_order_seq_cst) != 0; };
  for (;;) {
    // As in work_on(): read before looking for tiles, so that nothing that becomes claimable afterwards is missed.
    const uint32_t bell = control.bell.load(std::memory_order_seq_cst);
    if (Visit(control, seat, slot_index).make(end) == Visit::Outcome::abandoned) bury(control, control.seat_count);
    // Workers hold the remaining tiles, which are as short as those computed here: spinning costs less than returning
    // to the event loop and being notified.
    while (control.bell.load(std::memory_order_acquire) == bell && !over() && now_ns() < end) pause_cpu();
    if (over()) return at_end(program);
    if (now_ns() >= end) break;
  }
  // A worker that stops returns to the tile that it opened without ringing for it (advance). This thread does not, so
  // it rings for all that is left.
  ring(control, control.seat_count);
  return false;
}

uint64_t run_inline(Control& control, ProgramHeader& program) {
  Seat& seat = control.seats()[control.seat_count];
  Scratch scratch = {reinterpret_cast<unsigned char*>(seat.scratch), kScratchBytes};
  const Kernel* kernels = kernel_set(static_cast<Isa>(control.isa)).kernels;
  uint64_t tick = now_ns();
  for (uint32_t op = 0; op < program.op_count; ++op) {
    const OpRecord& record = program.records()[op];
    for (uint32_t tile = 0; tile < record.tile_count; ++tile) {
      TileTrace* const trace = program.trace_of(record, tile);
      const uint64_t begin = trace == nullptr ? 0 : now_ns();
      const KernelStatus status = kernels[record.opcode](record, tile, scratch);
      if (trace != nullptr) *trace = {begin, now_ns(), control.seat_count};
      if (status != KernelStatus::ok) return pack_failure(static_cast<uint32_t>(status), op, tile);
    }
    const uint64_t before = tick;
    tick = now_ns();
    add(seat.op_tiles[record.opcode], record.tile_count);
    add(seat.op_ns[record.opcode], tick - before);
  }
  return 0;
}

}  // namespace tesserae
