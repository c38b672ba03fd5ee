// A worker that waits gives its CPU to one that has a tile but no CPU, because somebody else is on it. Called by the executor
// alone; why, and the races that this prevents, stand under "Waiting" and "Races" in src/team/README.md.
#pragma once

#include <ctime>

#include "core/control.h"
#include "core/cpu.h"
#include "core/spin.h"

namespace tesserae {

constexpr int32_t kBeingMoved = -1;
constexpr uint32_t kPausesPerLook = 256;  // some 3 µs

// The id of a seat's thread, for the one who took it out of `movable`: nobody else moves the thread meanwhile, and it stays in
// native code. Elsewhere it could die, and its id be another's.
class MovableThread {
 public:
  explicit MovableThread(Seat& seat) : seat_(seat), id_(seat.movable.load(std::memory_order_relaxed)) {
    // Acquire: the seat's CPU as the last mover left it.
    if (id_ <= 0 || !seat.movable.compare_exchange_strong(id_, kBeingMoved, std::memory_order_acquire)) id_ = 0;
  }
  ~MovableThread() {
    if (id_ != 0) seat_.movable.store(id_, std::memory_order_release);
  }
  MovableThread(const MovableThread&) = delete;
  MovableThread& operator=(const MovableThread&) = delete;

  // 0 when it is not to be had.
  int32_t id() const { return id_; }

 private:
  Seat& seat_;
  int32_t id_;
};

// From here until stay_put others may move the seat's thread, the calling one.
static inline void let_move(Seat& seat) { seat.movable.store(seat.thread, std::memory_order_release); }

// Sleeps while somebody moves the calling thread. That one may be on the same CPU now, and must get the time to leave.
static inline void await_move(const Seat& seat) {
  constexpr timespec kNap = {0, 20'000};
  while (seat.movable.load(std::memory_order_relaxed) == kBeingMoved) nanosleep(&kNap, nullptr);
}

static inline void stay_put(Seat& seat) {
  for (;;) {
    int32_t id = seat.thread;
    if (seat.movable.compare_exchange_strong(id, 0, std::memory_order_acquire)) return;
    await_move(seat);
  }
}

// Whether the thread is not on a CPU now, nor was for a while, and what time it had on one so far. The first look says
// nothing: it makes the system count the time of a thread that runs, and so find out, before its next tick, that others are
// due. False as well when the bell moves or the last program ends: then there is something better to do.
static inline bool is_held_up(const Control& control, uint32_t bell, int32_t thread, int64_t& time) {
  constexpr uint32_t kLooks = 3;
  int64_t before = -1;
  time = cpu_time_ns(thread);
  for (uint32_t look = 1; look < kLooks; ++look) {
    for (uint32_t i = 0; i < kPausesPerLook; ++i) {
      if (control.bell.load(std::memory_order_relaxed) != bell) return false;
      if (control.live.load(std::memory_order_relaxed) == 0) return false;
      pause_cpu();
    }
    before = time;
    time = cpu_time_ns(thread);
  }
  return time >= 0 && time == before;
}

// For the worker on `own_seat`, which waits for others' tiles: exchanges CPUs with one of these, if one is held up. That one
// goes on at once; the calling worker waits for the other CPU with nothing in its hands, and so keeps nobody waiting. Returns
// whether it did.
static inline bool swap_cpus_with_held_up(Control& control, uint32_t own_seat, uint32_t bell) {
  Seat& own = control.seats()[own_seat];
  const int32_t cpu = own.cpu.load(std::memory_order_relaxed);
  if (cpu < 0) return false;
  for (uint32_t index = 0; index < control.seat_count; ++index) {
    Seat& other = control.seats()[index];
    if (index == own_seat || other.inside.load(std::memory_order_relaxed) == 0) continue;
    const int32_t id = other.movable.load(std::memory_order_relaxed);
    int64_t time = -1;
    if (id <= 0 || !is_held_up(control, bell, id, time)) continue;
    const MovableThread own_thread(own);
    int32_t its_cpu = -1;
    {
      const MovableThread thread(other);
      if (own_thread.id() == 0 || thread.id() != id || cpu_time_ns(id) != time) continue;
      its_cpu = other.cpu.load(std::memory_order_relaxed);
      // Where somebody else has sent the threads elsewhere since they took their seats, that holds.
      if (only_cpu_of(id) != its_cpu || only_cpu_of(0) != cpu || !keep_on_cpu(id, cpu)) continue;
      other.cpu.store(cpu, std::memory_order_relaxed);
      own.cpu.store(its_cpu, std::memory_order_relaxed);
    }
    // Only now: this thread may have to wait for its new CPU.
    keep_on_cpu(0, its_cpu);
    return true;
  }
  return false;
}

}  // namespace tesserae
