// Replaces the shared words of the executor with words that count their read-modify-writes, and the CPUs with simulated
// ones, one for each seat. Included by core/shared.h in the objects of executor_counts_test.cpp alone.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace tesserae {

// What one thread did, in total.
struct Counts {
  uint64_t read_modify_writes;
  uint64_t waits;       // system calls that may sleep on the bell
  uint64_t wakes;       // system calls that wake sleepers
  uint64_t woken;       // threads that these woke
  uint64_t cpu_looks;   // which CPU does the calling thread run on?
  uint64_t time_looks;  // system calls that read a thread's CPU time
  uint64_t moves;       // system calls that read or set an affinity
};

inline thread_local Counts counts;
inline thread_local int32_t simulated_cpu = -1;

#define TESSERAE_COUNT(what, amount) static_cast<void>(counts.what += static_cast<uint64_t>(amount))

template <typename T>
class Shared : public std::atomic<T> {
 public:
  using Base = std::atomic<T>;
  using Base::Base;
  using Base::operator=;

  T fetch_add(T value, std::memory_order order) { return counted().fetch_add(value, order); }
  T fetch_sub(T value, std::memory_order order) { return counted().fetch_sub(value, order); }
  T fetch_and(T value, std::memory_order order) { return counted().fetch_and(value, order); }
  T fetch_or(T value, std::memory_order order) { return counted().fetch_or(value, order); }
  T exchange(T value, std::memory_order order) { return counted().exchange(value, order); }
  template <typename... Orders>
  bool compare_exchange_weak(T& expected, T desired, Orders... orders) {
    return counted().compare_exchange_weak(expected, desired, orders...);
  }
  template <typename... Orders>
  bool compare_exchange_strong(T& expected, T desired, Orders... orders) {
    return counted().compare_exchange_strong(expected, desired, orders...);
  }

 private:
  Base& counted() {
    TESSERAE_COUNT(read_modify_writes, 1);
    return *this;
  }
};

// --- what core/cpu.h offers, of a machine with a CPU for each seat; no thread ever loses its CPU ---

static inline int32_t current_cpu() {
  TESSERAE_COUNT(cpu_looks, 1);
  return simulated_cpu;
}

static inline int32_t thread_id() {
  static std::atomic<int32_t> last{0};
  thread_local const int32_t id = ++last;
  return id;
}

static inline bool keep_on_cpu(int32_t thread, int32_t cpu) {
  TESSERAE_COUNT(moves, 1);
  if (thread == 0) simulated_cpu = cpu;
  return true;
}

static inline int32_t cpu_at(int32_t, uint32_t index, uint32_t count) {
  return index < count ? static_cast<int32_t>(index) : -1;
}

static inline int32_t only_cpu_of(int32_t) {
  TESSERAE_COUNT(moves, 1);
  return -1;
}

static inline int64_t cpu_time_ns(int32_t) {
  TESSERAE_COUNT(time_looks, 1);
  static std::atomic<int64_t> last{0};
  return ++last;
}

static inline void nap_for(int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

}  // namespace tesserae
