// Adaptive spinning: how long a worker spins on the bell before it sleeps, depending on how earlier spins ended. Called
// only by the executor. The section "Waiting" of src/team/README.md gives the reasons and the limits.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/clock.h"
#include "core/control.h"

namespace tesserae {

// Limits are times: a pause takes 10 ns on one CPU and 45 ns on another.
constexpr uint32_t kSpinMinNs = 1'500;
constexpr uint32_t kSpinMaxNs = 400'000;
constexpr uint32_t kIdleSpinNs = 180'000;  // longest spin for the next program
constexpr uint32_t kPausesPerClock = 8;    // reading the clock takes as long as two pauses
constexpr uint32_t kIdleLosses = 3;        // after this many losses in a row only every kIdleWaitsPerTry-th wait spins
constexpr uint32_t kIdleWaitsPerTry = 16;

static inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");  // waits some tens of cycles; `yield` does nothing on most CPUs
#endif
}

static inline void add(std::atomic<uint64_t>& counter, uint64_t amount) {
  // Only one thread writes a seat's counters, so no read-modify-write is needed.
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

// Spins until is_over() returns true, for about `ns`. Returns whether it did.
template <typename IsOver>
static inline bool spin_for(uint64_t ns, IsOver is_over) {
  const uint64_t end = now_ns() + ns;
  do {
    for (uint32_t i = 0; i < kPausesPerClock; ++i) {
      if (is_over()) return true;
      pause_cpu();
    }
  } while (now_ns() < end);
  return false;
}

// Waits for another worker's tile: spins until the bell changes or the last program ends, for at most seat.spin_ns. The
// limit doubles when the wait ended in time, else it halves. Returns whether the bell changed.
static inline bool spin_for_tile(Control& control, Seat& seat, uint32_t bell) {
  bool rung = false;
  const bool in_time = spin_for(seat.spin_ns, [&] {
    rung = control.bell.load(std::memory_order_acquire) != bell;
    return rung || control.live.load(std::memory_order_relaxed) == 0;
  });
  if (in_time) seat.spin_ns = std::min(seat.spin_ns * 2, kSpinMaxNs);
  else seat.spin_ns = std::max(seat.spin_ns / 2, kSpinMinNs);
  return rung;
}

// Waits for the next program; returns whether the bell changed. If every core has a worker (idle_spin_ns is 0), only a
// worker that is pinned to another CPU than the coordinator's spins: on the coordinator's CPU it would delay the thread
// that it waits for. After kIdleLosses spins in a row that ended without a program, it spins only now and then.
static inline bool spin_for_program(Control& control, Seat& seat, uint32_t bell) {
  const int32_t cpu = seat.cpu.load(std::memory_order_relaxed);
  const bool apart = cpu >= 0 && cpu != control.coordinator_cpu.load(std::memory_order_relaxed);
  const bool tries = apart && (seat.idle_losses < kIdleLosses || ++seat.idle_waits % kIdleWaitsPerTry == 0);
  const uint32_t limit_ns = control.idle_spin_ns > 0 ? control.idle_spin_ns : !tries ? 0 : kIdleSpinNs;
  if (limit_ns > 0 && spin_for(limit_ns, [&] { return control.bell.load(std::memory_order_acquire) != bell; })) {
    seat.idle_losses = 0;
    return true;
  }
  if (tries && seat.idle_losses < kIdleLosses) ++seat.idle_losses;
  return false;
}

// Spins for a tile or a program. `bell` is the bell's value before the caller last looked for work. Returns true if the
// caller should look again.
static inline bool spin(Control& control, Seat& seat, uint32_t bell) {
  const bool busy = control.live.load(std::memory_order_relaxed) != 0;
  bool won = busy && spin_for_tile(control, seat, bell);
  if (!won && control.live.load(std::memory_order_relaxed) == 0) won = spin_for_program(control, seat, bell);
  if (won) add(seat.spins_won, 1);
  return won;
}

}  // namespace tesserae
