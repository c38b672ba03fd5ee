// The clock of the executor: steady, in nanoseconds. Used by all files of core that measure time.
#pragma once

#include <chrono>
#include <cstdint>

namespace tesserae {

#ifdef __wasm__
// The steady clock of the host, the same in all threads (src/native/wasm).
extern "C" [[clang::import_module("host"), clang::import_name("now_ns")]] double tesserae_now_ns();

static inline uint64_t now_ns() { return static_cast<uint64_t>(tesserae_now_ns()); }
#else
static inline uint64_t now_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}
#endif

}  // namespace tesserae
