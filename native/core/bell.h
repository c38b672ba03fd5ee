// The bell on which workers sleep: who rings it, and which sleepers it wakes. Called by the worker's and the
// coordinator's side of the executor. See "Waiting" in src/team/README.md.
#pragma once

#include <algorithm>

#include "core/cpu.h"
#include "core/executor.h"
#include "core/futex.h"

namespace tesserae {

// Whether the seat's worker is pinned to the CPU that the calling thread runs on.
static inline bool is_here(const Seat& seat) { return seat.cpu.load(std::memory_order_relaxed) == current_cpu(); }

// The futex bit under which the seat's worker sleeps. With more than 32 seats several share a bit.
static inline uint32_t sleeper_bit(uint32_t seat_index) { return uint32_t{1} << (seat_index % 32); }

// The futex bits of the sleepers to wake first (comes_first); all bits if no worker is pinned to this CPU.
static inline uint32_t first_sleepers(Control& control, CallerNext next) {
  for (uint32_t seat = 0; seat < control.seat_count; ++seat) {
    if (!is_here(control.seats()[seat])) continue;
    return next == CallerNext::rests ? sleeper_bit(seat) : ~sleeper_bit(seat);
  }
  return kAnySleeper;
}

// Makes all awake workers look for work, and wakes up to `tiles` sleeping ones. The bell is incremented before
// `sleepers` is read, and a sleeper increments `sleepers` before the system compares the bell (all sequentially
// consistent): either this thread sees the sleeper, or its futex_wait sees the new bell and returns at once.
static inline void ring(Control& control, uint64_t tiles, CallerNext next = CallerNext::works) {
  control.bell.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t sleepers = control.sleepers.load(std::memory_order_seq_cst);
  if (tiles == 0 || sleepers == 0) return;
  const auto wanted = static_cast<int32_t>(std::min<uint64_t>(tiles, sleepers));
  const uint32_t first = wanted < static_cast<int32_t>(sleepers) ? first_sleepers(control, next) : kAnySleeper;
  const int32_t woken = futex_wake(control.bell, wanted, first);
  if (woken < wanted && first != kAnySleeper) futex_wake(control.bell, wanted - woken, ~first);
}

// How many tiles became claimable when the number of complete ops rose from `before` to `complete`. `after` never falls
// along a program, so the ops that waited for it are consecutive. Stops counting at `enough`.
static inline uint64_t opened_tiles(const OpRecord* records, uint32_t op_count, uint32_t before, uint32_t complete, uint64_t enough) {
  uint64_t tiles = 0;
  for (uint32_t op = complete; op < op_count && records[op].after <= complete && tiles < enough; ++op) {
    if (records[op].after > before || complete == 0) tiles += records[op].tile_count;
  }
  return tiles;
}

}  // namespace tesserae
