// Futex wait and wake on a 32-bit word that the threads of one process share: Linux's, and WebAssembly's instructions. Used
// by the executor; V8's Atomics.wait keeps its own list of waiters and does not see Linux's calls.
#pragma once

#ifndef __wasm__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>
#include <cstdint>
#include <ctime>

#include "core/shared.h"

namespace tesserae {

static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free,
              "the operating system compares the plain word");

constexpr uint32_t kAnySleeper = 0xffffffff;

// Sleeps if `word` is `expected`, for at most `timeout_ns`, until a futex_wake whose bits overlap with `bits`. May
// return spuriously: callers check again.
static inline void futex_wait(std::atomic<uint32_t>& word, uint32_t expected, int64_t timeout_ns,
                              uint32_t bits = kAnySleeper) {
  TESSERAE_COUNT(waits, 1);
#ifdef __wasm__
  static_cast<void>(bits);
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int32_t*>(&word), static_cast<int32_t>(expected), timeout_ns);
#else
  timespec until = {};
  clock_gettime(CLOCK_MONOTONIC, &until);
  const int64_t ns = until.tv_nsec + timeout_ns;
  until.tv_sec += static_cast<time_t>(ns / 1000000000);
  until.tv_nsec = static_cast<long>(ns % 1000000000);
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_BITSET_PRIVATE, expected, &until, nullptr, bits);
#endif
}

// Wakes at most `count` threads that sleep on the word with one of these bits (in WebAssembly: with any). Returns how many
// it woke.
static inline int32_t futex_wake(std::atomic<uint32_t>& word, int32_t count, uint32_t bits = kAnySleeper) {
  TESSERAE_COUNT(wakes, 1);
#ifdef __wasm__
  static_cast<void>(bits);
  return __builtin_wasm_memory_atomic_notify(reinterpret_cast<int32_t*>(&word), static_cast<uint32_t>(count));
#else
  const long woken =
      syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_BITSET_PRIVATE, count, nullptr, nullptr, bits);
  TESSERAE_COUNT(woken, woken > 0 ? woken : 0);
  return woken > 0 ? static_cast<int32_t>(woken) : 0;
#endif
}

}  // namespace tesserae
