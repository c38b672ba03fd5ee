// A waiting worker gives its CPU to a worker that has a tile but was descheduled, because another process uses its CPU.
// Called only by the executor. See "Waiting" (why) and "Races" in src/team/README.md.
#pragma once

#include <algorithm>

#include "core/control.h"
#include "core/cpu.h"
#include "core/spin.h"

namespace tesserae {

constexpr int32_t kBeingMoved = -1;
constexpr uint64_t kLookNs = 3'000;  // between two looks at a thread's time
constexpr uint32_t kWatchedSeats = 8;  // how many seats behind its own a waiting worker watches
constexpr uint32_t kMostLookedAt = 2;  // of how many of them it looks at the time in one call

// Takes the id of a seat's thread out of `movable`, and puts it back when destroyed. In between no other worker moves
// that thread, and it stays in native code. Outside native code it could die and its id be reused by another thread.
class MovableThread {
 public:
  explicit MovableThread(Seat& seat) : seat_(seat), id_(seat.movable.load(std::memory_order_relaxed)) {
    // Acquire: `cpu` of the seat, as the previous mover wrote it.
    if (id_ <= 0 || !seat.movable.compare_exchange_strong(id_, kBeingMoved, std::memory_order_acquire)) id_ = 0;
  }
  ~MovableThread() {
    if (id_ != 0) seat_.movable.store(id_, std::memory_order_release);
  }
  MovableThread(const MovableThread&) = delete;
  MovableThread& operator=(const MovableThread&) = delete;

  // 0 if the id could not be taken.
  int32_t id() const { return id_; }

 private:
  Seat& seat_;
  int32_t id_;
};

// Called by the seat's own thread: from here until stay_put other workers may move it.
static inline void let_move(Seat& seat) { seat.movable.store(seat.thread, std::memory_order_release); }

// Sleeps while another worker moves the calling thread. Both may be on the same CPU now; spinning would keep the mover
// from finishing.
static inline void await_move(const Seat& seat) {
  while (seat.movable.load(std::memory_order_relaxed) == kBeingMoved) nap_for(20'000);
}

// Ends the time in which others may move the calling thread; waits for a move in progress.
static inline void stay_put(Seat& seat) {
  for (;;) {
    int32_t id = seat.thread;
    if (seat.movable.compare_exchange_strong(id, 0, std::memory_order_acquire)) return;
    await_move(seat);
  }
}

// Returns whether the thread has been off its CPU for about kLookNs; `time` receives its CPU time. The
// first look is not counted: it makes the system update the time of a running thread, and so notice before its next
// tick that the thread's turn is over. Returns false as soon as the bell changes or the last program ends: then there
// may be other work.
static inline bool is_held_up(const Control& control, uint32_t bell, int32_t thread, int64_t& time) {
  constexpr uint32_t kLooks = 3;
  int64_t before = -1;
  time = cpu_time_ns(thread);
  for (uint32_t look = 1; look < kLooks; ++look) {
    const bool changed = spin_for(kLookNs, [&] {
      return control.bell.load(std::memory_order_relaxed) != bell || control.live.load(std::memory_order_relaxed) == 0;
    });
    if (changed) return false;
    before = time;
    time = cpu_time_ns(thread);
  }
  return time >= 0 && time == before;
}

// Called by the worker on `own_seat` while it waits for tiles of others. If a worker inside a program is off its CPU,
// exchanges CPUs with it and returns true: that worker's tile continues at once, while the caller, which holds no tile,
// waits for the other CPU.
//
// A worker watches the few seats that follow its own, in a circle, and of these looks at two at most: so its costs do not
// grow with the team, and neither does the number of workers that look at one seat at the same time. A seat is watched by
// the workers before it, which all wait by the time that the op waits for this seat alone.
static inline bool swap_cpus_with_held_up(Control& control, uint32_t own_seat, uint32_t bell) {
  Seat& own = control.seats()[own_seat];
  const int32_t cpu = own.cpu.load(std::memory_order_relaxed);
  if (cpu < 0) return false;
  const uint32_t watched = std::min(control.seat_count - 1, kWatchedSeats);
  uint32_t looked_at = 0;
  for (uint32_t step = 1; step <= watched && looked_at < kMostLookedAt; ++step) {
    Seat& other = control.seats()[(own_seat + step) % control.seat_count];
    if (other.inside.load(std::memory_order_relaxed) == 0) continue;
    const int32_t id = other.movable.load(std::memory_order_relaxed);
    if (id <= 0) continue;
    ++looked_at;
    int64_t time = -1;
    if (!is_held_up(control, bell, id, time)) continue;
    const MovableThread own_thread(own);
    int32_t its_cpu = -1;
    {
      const MovableThread thread(other);
      if (own_thread.id() == 0 || thread.id() != id || cpu_time_ns(id) != time) continue;
      its_cpu = other.cpu.load(std::memory_order_relaxed);
      // If something outside of the team has changed the affinity of either thread, leave it as it is.
      if (only_cpu_of(id) != its_cpu || only_cpu_of(0) != cpu || !keep_on_cpu(id, cpu)) continue;
      other.cpu.store(cpu, std::memory_order_relaxed);
      own.cpu.store(its_cpu, std::memory_order_relaxed);
    }
    // Only now, after the other thread's id was given back: this thread may have to wait for its new CPU.
    keep_on_cpu(0, its_cpu);
    return true;
  }
  return false;
}

}  // namespace tesserae
