// The bell on which workers sleep: who rings it, and which sleepers it wakes. Called by the worker's and the
// coordinator's side of the executor. See "Waiting" in src/team/README.md.
#pragma once

#include <algorithm>

#include "core/cpu.h"
#include "core/executor.h"
#include "core/futex.h"

namespace tesserae {

// Which sleepers a ring wakes first, if it does not wake all: those on the calling thread's CPU, or the others. `any` is
// right for a worker: the one worker that is pinned to its CPU is itself.
enum class WakeFirst { any, here, elsewhere };

// The futex bit under which the seat's worker sleeps. With more than 32 seats several share a bit.
static inline uint32_t sleeper_bit(uint32_t seat_index) { return uint32_t{1} << (seat_index % 32); }

// The seat whose worker is pinned to the coordinator's CPU; seat_count if there is none. Called by the coordinator only.
// It rarely changes its CPU, so the seat found last is looked at first.
static inline uint32_t seat_here(Control& control) {
  const int32_t cpu = control.coordinator_cpu.load(std::memory_order_relaxed);
  const auto is_here = [&](uint32_t seat) { return control.seats()[seat].cpu.load(std::memory_order_relaxed) == cpu; };
  if (!is_here(control.seat_here)) {
    uint32_t seat = 0;
    while (seat < control.seat_count && !is_here(seat)) ++seat;
    if (seat == control.seat_count) return seat;
    control.seat_here = seat;
  }
  return control.seat_here;
}

// The futex bits of the sleepers to wake first; all bits if no worker is pinned to this CPU.
static inline uint32_t first_sleepers(Control& control, WakeFirst first) {
  if (first == WakeFirst::any) return kAnySleeper;
  const uint32_t seat = seat_here(control);
  if (seat == control.seat_count) return kAnySleeper;
  return first == WakeFirst::here ? sleeper_bit(seat) : ~sleeper_bit(seat);
}

// How many sleepers a thread wakes itself, by system calls of its own.
constexpr int32_t kWakesEach = 2;

// Wakes up to `wanted` sleepers, those of the bits `first` before others. `owed` is the value of Control::owed that this
// thread saw last: if nobody sleeps any more, it is cleared, unless it has changed since.
static inline void wake_sleepers(Control& control, int32_t wanted, uint32_t owed, uint32_t first = kAnySleeper) {
  int32_t woken = futex_wake(control.bell, wanted, first);
  if (woken < wanted && first != kAnySleeper) woken += futex_wake(control.bell, wanted - woken, ~first);
  if (woken < wanted && owed != 0) control.owed.compare_exchange_strong(owed, 0, std::memory_order_seq_cst);
}

// Called by each worker that leaves its sleep, for whatever reason: wakes some of the sleepers that a ring has left to
// others.
static inline void pass_on(Control& control) {
  uint32_t owed = control.owed.load(std::memory_order_seq_cst);
  while (owed != 0) {
    const uint32_t some = std::min<uint32_t>(owed, kWakesEach);
    if (!control.owed.compare_exchange_weak(owed, owed - some, std::memory_order_seq_cst)) continue;
    return wake_sleepers(control, static_cast<int32_t>(some), owed - some);
  }
}

// Makes all awake workers look for work, and gets up to `tiles` sleeping ones woken: this thread wakes kWakesEach, and
// each worker that wakes up does the same (pass_on), until nothing is owed. The bell is incremented before
// `sleepers` is read, and a sleeper increments `sleepers` before the system compares the bell (all sequentially
// consistent): either this thread sees the sleeper, or its futex_wait sees the new bell and returns at once.
//
// Nothing but speed depends on the wakes that are owed: if any worker sleeps, this thread wakes one itself, and a worker
// that is awake computes all tiles that are claimable.
static inline void ring(Control& control, uint64_t tiles, WakeFirst which = WakeFirst::any) {
  control.bell.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t sleepers = control.sleepers.load(std::memory_order_seq_cst);
  if (tiles == 0 || sleepers == 0) return;
  const auto wanted = static_cast<int32_t>(std::min<uint64_t>(tiles, sleepers));
  const uint32_t first = wanted < static_cast<int32_t>(sleepers) ? first_sleepers(control, which) : kAnySleeper;
  const auto later = static_cast<uint32_t>(std::max(wanted - kWakesEach, 0));
  // Before the wake, so that the woken worker sees it.
  const uint32_t owed = later == 0 ? 0 : control.owed.fetch_add(later, std::memory_order_seq_cst) + later;
  wake_sleepers(control, std::min(wanted, kWakesEach), owed, first);
}

// Makes all workers look for work, and wakes all sleeping ones itself. For a death and the end, which are rare.
static inline void ring_for_all(Control& control) {
  control.bell.fetch_add(1, std::memory_order_seq_cst);
  if (control.sleepers.load(std::memory_order_seq_cst) != 0) futex_wake(control.bell, kMaxSeats);
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
