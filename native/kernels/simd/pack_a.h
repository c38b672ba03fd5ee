// Packs a block of A for the micro-kernel: groups of kMr rows, each stored as k columns of kMr floats. Called by
// matmul's blocked paths if A cannot be read in place.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/simd/matmul_vector.h"
#include "kernels/block_sizes.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Writes ceil(rows / kMr) groups of k · kMr floats, and up to 2 floats beyond them. In the last group the missing rows
// are undefined.
inline void pack_a(const float* a, int64_t rs, int64_t cs, int64_t rows, int64_t k, float* to) {
  for (int64_t i = 0; i < rows; i += kMr, a += kMr * rs) {
    const int64_t count = std::min(rows - i, kMr);
    if (rs == 1) {
      // Stores eight lanes, of which six are needed: the next store overwrites the other two.
      const Bits256 mask = first_lanes(count);
      for (int64_t p = 0; p < k; ++p, to += kMr) store_f32x8(to, masked_load_f32x8(a + p * cs, mask));
    } else {
      for (int64_t p = 0; p < k; ++p, to += kMr) {
        for (int64_t r = 0; r < count; ++r) to[r] = a[r * rs + p * cs];
      }
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
