// Packs a block of A for the micro-kernel. Called by matmul's blocked paths if A cannot be read in place.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/simd/matmul_vector.h"
#include "kernels/simd/sgemm.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// How many groups of rows are packed at a time, so that each cache line of A is read once, with prefetches. One at a
// time loses by them.
constexpr int64_t kGroupsAtOnce = kStoresPartly ? 6 : 1;

// Packs `groups` groups of `count` rows of A with contiguous columns, MostRows apart.
template <int64_t MostRows, int64_t groups>
inline void pack_a_columns(const float* a, int64_t cs, int64_t count, int64_t k, float* to) {
  using Of = LanesOf<Floats>;
  static_assert(MostRows <= kFloats && (groups == 1 || kStoresPartly));
  const Of::First present = Of::first(count);
  for (int64_t p = 0; p < k; ++p, a += cs) {
    for (int64_t g = 0; g < groups; ++g) {
      if (kGroupsAtOnce > 1) prefetch(a + kPackRowsAhead * cs + g * MostRows);
      const Floats column = Of::masked_load(a + g * MostRows, present);
      float* group = to + g * count * k + p * count;
      // A whole vector is overwritten by the next column, beyond the first lanes.
      if constexpr (kStoresPartly) Of::masked_store(group, present, column);
      else store_vector(group, column);
    }
  }
}

// Packs A into groups of MostRows rows; the last one may have fewer. Each group is k columns of as many floats as it
// has rows. Up to 7 floats beyond the last column may be overwritten.
template <int64_t MostRows>
inline void pack_a(const float* a, int64_t rs, int64_t cs, int64_t rows, int64_t k, float* to) {
  while (rs == 1 && rows >= kGroupsAtOnce * MostRows) {
    pack_a_columns<MostRows, kGroupsAtOnce>(a, cs, MostRows, k, to);
    a += kGroupsAtOnce * MostRows, rows -= kGroupsAtOnce * MostRows, to += kGroupsAtOnce * MostRows * k;
  }
  for (int64_t i = 0; i < rows; i += MostRows, a += MostRows * rs) {
    const int64_t count = std::min(rows - i, MostRows);
    if (rs == 1) {
      pack_a_columns<MostRows, 1>(a, cs, count, k, to);
      to += count * k;
    } else {
      for (int64_t p = 0; p < k; ++p, to += count) {
        for (int64_t r = 0; r < count; ++r) to[r] = a[r * rs + p * cs];
      }
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
