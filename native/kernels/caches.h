// The caches of the CPU, for what is prefetched where. No result depends on them.
#pragma once

#include <cstdint>

namespace tesserae {

// Bytes of the L1 data cache of a core; 0 where they are not known. The CPU is asked once.
int64_t l1_data_bytes();

// Whether L1 is known to have no more than 32 KiB, which Zen 4 and the AVX-512 CPUs before Ice Lake have.
inline bool has_small_l1() {
  const int64_t bytes = l1_data_bytes();
  return bytes > 0 && bytes <= int64_t{32} << 10;
}

}  // namespace tesserae
