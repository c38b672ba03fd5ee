// The clock of the executor: steady, in nanoseconds. Used by all files of core that measure time.
#pragma once

#include <chrono>
#include <cstdint>

namespace tesserae {

static inline uint64_t now_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

}  // namespace tesserae
