// A visit: one worker enters one slot, claims and computes tiles of the program there, and leaves. Called by the
// worker's loop (worker.cpp) and by the coordinator when it assists. src/team/README.md describes the protocol.
#pragma once

#include "core/bell.h"
#include "core/clock.h"
#include "core/spin.h"
#include "core/swap_cpus.h"
#include "kernels/table.h"

namespace tesserae {

constexpr uint64_t kSliceNs = 1'000'000;  // longest time in one program while others have work

static inline ProgramHeader* program_in(const Slot& slot, std::memory_order order) {
  return reinterpret_cast<ProgramHeader*>(slot.program.load(order));
}

// One worker's visit of one slot: enter, compute tiles, leave.
class Visit {
 public:
  Visit(Control& control, Seat& seat, uint32_t slot_index)
      : control_(control), seat_(seat), slot_(control.slots[slot_index]), slot_index_(slot_index) {}

  enum class Outcome { nothing, worked, ended, abandoned };

  // Enters, works until nothing is claimable or the time is up, leaves.
  Outcome make(uint64_t yield_at) {
    // `visitors` is incremented before `program` is read: while it is not 0 the coordinator neither frees the program's
    // memory nor opens the slot for another program.
    seat_.inside.store(slot_index_ + 1, std::memory_order_relaxed);
    slot_.visitors.fetch_add(1, std::memory_order_seq_cst);
    program_ = program_in(slot_, std::memory_order_seq_cst);
    bool worked = false;
    bool finished = false;
    if (program_ != nullptr) {
      run_ = slot_.run;
      first_tick_ = tick_ = now_ns();
      const Step last = work(yield_at, worked);
      if (last == Step::abandoned) return Outcome::abandoned;  // stays counted in `visitors`, like a dead worker
      finished = last == Step::finished;
    }
    const bool quiet = leave();
    if (finished || quiet) {
      control_.endings.fetch_add(1, std::memory_order_seq_cst);
      return Outcome::ended;
    }
    return worked ? Outcome::worked : Outcome::nothing;
  }

 private:
  enum class Step { blocked, finished, stopped, abandoned };

  Step work(uint64_t yield_at, bool& worked) {
    OpRecord* records = program_->records();
    OpCounters* counters = program_->counters();
    const uint32_t op_count = program_->op_count;
    const uint64_t base = run_ * op_count;
    const uint64_t slice_end = first_tick_ + kSliceNs;
    const uint64_t others = ~(uint64_t{1} << slot_index_);
    for (;;) {
      await_move(seat_);
      if (slot_.cancelled.load(std::memory_order_seq_cst) != 0) return Step::stopped;
      if (control_.closing.load(std::memory_order_relaxed) != 0) return Step::stopped;
      // Acquire: the worker that moved the prefix here saw the tiles before it complete; now this worker does too.
      const uint64_t prefix = program_->prefix.load(std::memory_order_acquire);
      if (prefix >= base + op_count) return Step::stopped;  // another worker finished the run
      const uint32_t complete = static_cast<uint32_t>(prefix - base);
      uint32_t op = complete;
      uint64_t tile = 0;
      while (op < op_count && records[op].after <= complete && !claim(records[op], counters[op], tile)) ++op;
      if (op == op_count || records[op].after > complete) return Step::blocked;
      worked = true;
      const KernelStatus status = run_tile(records[op], tile);
      if (status == KernelStatus::abandoned) return Step::abandoned;
      if (status != KernelStatus::ok) {
        fail(static_cast<uint32_t>(status), op, static_cast<uint32_t>(tile));
        return Step::stopped;
      }
      // Releases this tile's outputs to every thread that sees the new count. Sequentially consistent, because two
      // workers that complete neighbouring ops each look for the other's count in advance(): one of them must see
      // both.
      const uint64_t done = counters[op].done.fetch_add(1, std::memory_order_seq_cst) + 1;
      if (done == (run_ + 1) * records[op].tile_count && advance(counters, records, base)) return Step::finished;
      if (tick_ >= yield_at) return Step::stopped;
      if (tick_ >= slice_end && (control_.live.load(std::memory_order_relaxed) & others) != 0) return Step::stopped;
    }
  }

  // Claims one tile of this run, if one is left. A compare-exchange, not an increment: a worker that is late from an
  // earlier run must not use up a claim of this one.
  bool claim(const OpRecord& record, OpCounters& counters, uint64_t& tile) const {
    const uint64_t first = run_ * record.tile_count;
    const uint64_t end = first + record.tile_count;
    uint64_t next = counters.claimed.load(std::memory_order_relaxed);
    while (next < end) {
      // Acquire: pairs with the release in retire(), which sets the counters of a drained program.
      if (counters.claimed.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        tile = next - first;
        return true;
      }
    }
    return false;
  }

  KernelStatus run_tile(const OpRecord& record, uint64_t tile) {
    Scratch scratch = {reinterpret_cast<unsigned char*>(seat_.scratch), kScratchBytes};
    const Kernel kernel = kernel_set(static_cast<Isa>(control_.isa)).kernels[record.opcode];
    TileTrace* const trace = program_->trace_of(record, tile);
    // Without a trace one clock reading a tile is enough: the tile begins when the last one ended.
    const uint64_t begin = trace == nullptr ? tick_ : now_ns();
    const KernelStatus status = kernel(record, static_cast<int64_t>(tile), scratch);
    tick_ = now_ns();
    add(seat_.op_tiles[record.opcode], 1);
    add(seat_.op_ns[record.opcode], tick_ - begin);
    if (trace != nullptr) *trace = {begin, tick_, static_cast<uint64_t>(&seat_ - control_.seats())};
    return status;
  }

  // Moves the prefix over the ops that are complete. Returns true to the one worker that moves it to the program's end.
  bool advance(OpCounters* counters, const OpRecord* records, uint64_t base) {
    const uint32_t op_count = program_->op_count;
    uint64_t prefix = program_->prefix.load(std::memory_order_acquire);
    uint64_t from = prefix;  // where the first move of this worker began; others may have moved it in between
    uint64_t to = prefix;    // where its last move ended
    while (prefix < base + op_count) {
      const uint64_t op = prefix - base;
      if (counters[op].done.load(std::memory_order_seq_cst) < (run_ + 1) * records[op].tile_count) break;
      if (!program_->prefix.compare_exchange_strong(prefix, prefix + 1, std::memory_order_seq_cst)) continue;
      if (to == from) from = prefix;
      to = ++prefix;
    }
    if (to == from) return false;
    if (to == base + op_count) {
      control_.live.fetch_and(~(uint64_t{1} << slot_index_), std::memory_order_seq_cst);
      return true;
    }
    // This worker takes one of the tiles itself, since it looks again at once.
    const uint64_t tiles = opened_tiles(records, op_count, static_cast<uint32_t>(from - base),
                                        static_cast<uint32_t>(to - base), uint64_t{control_.seat_count} + 1);
    if (tiles > 1) ring(control_, tiles - 1, is_worker() ? WakeFirst::any : WakeFirst::elsewhere);
    return false;
  }

  void fail(uint32_t status, uint32_t op, uint32_t tile) {
    uint64_t none = 0;
    slot_.failure.compare_exchange_strong(none, pack_failure(status, op, tile), std::memory_order_seq_cst);
    slot_.cancelled.store(1, std::memory_order_seq_cst);
    control_.live.fetch_and(~(uint64_t{1} << slot_index_), std::memory_order_seq_cst);
  }

  bool is_worker() const { return &seat_ != control_.seats() + control_.seat_count; }

  // Returns true if this was the last visitor of a program that is cancelled (now drained) or retired (slot and memory
  // now free): then the coordinator must be notified. The coordinator stores `cancelled` or `program` and then reads
  // `visitors`; this thread does it the other way round, so at least one of them sees both. After the decrement
  // program_ may be freed; only the slot is read.
  bool leave() {
    const bool last = slot_.visitors.fetch_sub(1, std::memory_order_seq_cst) == 1;
    seat_.inside.store(0, std::memory_order_relaxed);
    return last && (slot_.cancelled.load(std::memory_order_seq_cst) != 0 ||
                    program_in(slot_, std::memory_order_seq_cst) == nullptr);
  }

  Control& control_;
  Seat& seat_;
  Slot& slot_;
  uint32_t slot_index_;
  ProgramHeader* program_ = nullptr;
  uint64_t run_ = 0;
  uint64_t first_tick_ = 0;
  uint64_t tick_ = 0;
};

}  // namespace tesserae
