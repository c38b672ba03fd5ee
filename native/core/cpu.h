// Queries and sets the CPU affinity of a thread, and reads its CPU time, on Linux. Threads are named by their kernel id
// (gettid); 0 is the calling thread. WebAssembly has nothing of this: no thread is pinned. Used by the executor and
// swap_cpus.h.
#pragma once

#include "core/shared.h"

#if !defined(__wasm__) && !defined(TESSERAE_COUNTING)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <ctime>

namespace tesserae {

constexpr int32_t kUnknownCpu = -2;  // of the calling thread; a seat that is not pinned has -1

#ifdef __wasm__

static inline int32_t current_cpu() { return kUnknownCpu; }
static inline int32_t thread_id() { return 0; }
static inline bool keep_on_cpu(int32_t, int32_t) { return false; }
static inline int32_t cpu_at(int32_t, uint32_t, uint32_t) { return -1; }
static inline int32_t only_cpu_of(int32_t) { return -1; }
static inline int64_t cpu_time_ns(int32_t) { return -1; }

// Lets other threads run for a while.
static inline void nap_for(int64_t ns) {
  int32_t word = 0;
  __builtin_wasm_memory_atomic_wait32(&word, 0, ns);
}

#elif !defined(TESSERAE_COUNTING)  // else TESSERAE_COUNTING simulates the CPUs

// The CPU that the calling thread runs on now.
static inline int32_t current_cpu() { return sched_getcpu(); }

static inline int32_t thread_id() { return static_cast<int32_t>(syscall(SYS_gettid)); }

static inline bool keep_on_cpu(int32_t thread, int32_t cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  return sched_setaffinity(thread, sizeof(one), &one) == 0;
}

// The index-th of the CPUs that the thread may use, if there are exactly `count` of them; else -1.
static inline int32_t cpu_at(int32_t thread, uint32_t index, uint32_t count) {
  cpu_set_t allowed;
  if (sched_getaffinity(thread, sizeof(allowed), &allowed) != 0) return -1;
  if (static_cast<uint32_t>(CPU_COUNT(&allowed)) != count || index >= count) return -1;
  int32_t cpu = -1;
  for (uint32_t left = index + 1; left > 0; --left) {
    do ++cpu;
    while (!CPU_ISSET(cpu, &allowed));
  }
  return cpu;
}

// The CPU that the thread is pinned to; -1 if it may use several, or on an error.
static inline int32_t only_cpu_of(int32_t thread) { return cpu_at(thread, 0, 1); }

// The CPU time of a thread of this process, in nanoseconds; -1 on an error. The clock id is built from the thread id by
// the kernel's encoding, as clock_getcpuclockid does for processes.
static inline int64_t cpu_time_ns(int32_t thread) {
  constexpr int32_t kOfThread = 4;
  constexpr int32_t kTimeOnCpu = 2;
  timespec time = {};
  const auto clock = static_cast<clockid_t>(~static_cast<uint32_t>(thread) << 3 | kOfThread | kTimeOnCpu);
  if (clock_gettime(clock, &time) != 0) return -1;
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Lets other threads run for a while, less than a second.
static inline void nap_for(int64_t ns) {
  const timespec time = {0, static_cast<long>(ns)};
  nanosleep(&time, nullptr);
}

#endif

}  // namespace tesserae
