// The worker's side of the executor: the loop of a shift, which looks for tiles, spins and sleeps. See executor.h, and
// src/team/README.md for the protocol as a whole.
#include <algorithm>

#include "core/bell.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/executor.h"
#include "core/spin.h"
#include "core/swap_cpus.h"
#include "core/visit.h"

namespace tesserae {
namespace {

constexpr uint64_t kYieldNs = 20'000'000;  // longest time in native code while there is work, waits included

// How long a worker sleeps before it checks again whether a worker whose tile it waits for is off its CPU. A timer that
// expires before the system's next tick costs 5 to 10 µs on a virtual machine, so the short one is used only after an
// exchange of CPUs.
constexpr int64_t kNapNs = 4'000'000;
constexpr int64_t kDisturbedNapNs = 50'000;
constexpr uint64_t kDisturbedNs = 100'000'000;  // how long after an exchange kDisturbedNapNs is used

// Visits all slots whose programs have work, starting after the slot that this seat worked in last, so that a stream of
// new programs in the first slots cannot starve the others.
Visit::Outcome look_everywhere(Control& control, Seat& seat, uint64_t yield_at) {
  const uint64_t live = control.live.load(std::memory_order_seq_cst);
  if (live == 0) return Visit::Outcome::nothing;
  auto outcome = Visit::Outcome::nothing;
  const uint32_t start = seat.last_slot + 1;
  for (uint32_t step = 0; step < kSlots; ++step) {
    const uint32_t slot = (start + step) % kSlots;
    if ((live & (uint64_t{1} << slot)) == 0) continue;
    const Visit::Outcome visited = Visit(control, seat, slot).make(yield_at);
    switch (visited) {
      case Visit::Outcome::nothing:
        continue;
      case Visit::Outcome::worked:
        seat.last_slot = slot;
        outcome = Visit::Outcome::worked;
        if (now_ns() >= yield_at) return outcome;
        continue;
      case Visit::Outcome::ended:
      case Visit::Outcome::abandoned:
        seat.last_slot = slot;
        return visited;
    }
  }
  return outcome;
}

}  // namespace

void take_seat(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  seat.thread = thread_id();
  // Nothing to choose with one worker. If an earlier worker on this seat exchanged its CPU, keep the new one.
  int32_t cpu = control.seat_count > 1 ? cpu_at(0, seat_index, control.seat_count) : -1;
  const int32_t before = seat.cpu.load(std::memory_order_relaxed);
  if (cpu >= 0 && before >= 0) cpu = before;
  if (cpu >= 0 && !keep_on_cpu(0, cpu)) cpu = -1;
  seat.cpu.store(cpu, std::memory_order_relaxed);
}

namespace {

// Sleeps until the bell differs from `bell`, at most `ns`. May return early. Then wakes others if a ring asked for it.
void sleep_on_bell(Control& control, uint32_t seat_index, uint32_t bell, int64_t ns) {
  control.sleepers.fetch_add(1, std::memory_order_seq_cst);
  futex_wait(control.bell, bell, ns, sleeper_bit(seat_index));
  control.sleepers.fetch_sub(1, std::memory_order_seq_cst);
  pass_on(control);
}

// Like sleep_on_bell, but while a program is live it checks, at once and after each nap, whether a worker that holds a
// tile is off its CPU, and exchanges CPUs with it.
void sleep_beside_others(Control& control, uint32_t seat_index, uint32_t bell, int64_t ns) {
  while (ns > 0 && control.bell.load(std::memory_order_relaxed) == bell) {
    int64_t nap = ns;
    if (control.live.load(std::memory_order_relaxed) != 0) {
      const uint64_t now = now_ns();
      if (swap_cpus_with_held_up(control, seat_index, bell)) control.swapped_ns.store(now, std::memory_order_relaxed);
      const bool is_disturbed = control.swapped_ns.load(std::memory_order_relaxed) + kDisturbedNs > now;
      nap = std::min(ns, is_disturbed ? kDisturbedNapNs : kNapNs);
    }
    sleep_on_bell(control, seat_index, bell, nap);
    ns -= nap;
  }
}

WorkResult work_on(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  uint64_t yield_at = now_ns() + kYieldNs;
  uint64_t idle_since = 0;  // when the team ran out of work; 0 if it had work at the last look
  for (;;) {
    // Read before `closing` and before looking for work: closing the team, or making a tile claimable, after that
    // changes the bell to another value.
    const uint32_t bell = control.bell.load(std::memory_order_seq_cst);
    if (control.closing.load(std::memory_order_seq_cst) != 0) {
      seat.state.store(static_cast<uint32_t>(SeatState::away), std::memory_order_seq_cst);
      return WorkResult::left;
    }
    const Visit::Outcome outcome = look_everywhere(control, seat, yield_at);
    if (outcome == Visit::Outcome::ended) return WorkResult::ended;
    if (outcome == Visit::Outcome::abandoned) return WorkResult::abandoned;
    const bool look_again = outcome == Visit::Outcome::worked || spin(control, seat, bell);
    const uint64_t now = now_ns();
    const bool busy = control.live.load(std::memory_order_seq_cst) != 0;
    // Also while this worker only waits for tiles of others: JavaScript must be able to terminate its thread.
    if (busy && now >= yield_at) return WorkResult::yielded;
    if (busy || look_again) idle_since = 0;
    if (look_again) continue;
    if (!busy && idle_since == 0) idle_since = now;
    if (!busy && now - idle_since >= control.linger_ns) {
      seat.state.store(static_cast<uint32_t>(SeatState::away), std::memory_order_seq_cst);
      // The coordinator may have published a program between the look and this store, and seen this worker on shift.
      if (control.live.load(std::memory_order_seq_cst) == 0) return WorkResult::left;
      if (call_to_shift(control, seat_index)) continue;
      // Another thread was faster, perhaps with a call for a worker that does not come by itself: pass that call on.
      control.calls_owed.fetch_add(1, std::memory_order_seq_cst);
      return WorkResult::left;
    }
    if (busy) sleep_beside_others(control, seat_index, bell, static_cast<int64_t>(yield_at - now));
    else sleep_on_bell(control, seat_index, bell, static_cast<int64_t>(control.linger_ns - (now - idle_since)));
    add(seat.sleeps, 1);
    if (busy) continue;
    yield_at = now_ns() + kYieldNs;
    if (control.bell.load(std::memory_order_relaxed) != bell) idle_since = 0;
  }
}

}  // namespace

WorkResult work(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  let_move(seat);
  const WorkResult result = work_on(control, seat_index);
  stay_put(seat);
  return result;
}

}  // namespace tesserae
