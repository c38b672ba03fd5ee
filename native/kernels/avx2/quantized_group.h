// dot_strip_group with vectors of 8 lanes: one group of one strip with some rows, for decoding (quantized_few.h).
// Included by the AVX2 and AVX-VNNI quantized kernels.
#pragma once

#include "kernels/avx2/quantized_unit.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// dot[r] receives the exact sums of row r with the 8 rows of weights. `half` as in dot_group.
template <QuantizedType type, int Rows>
TESSERAE_QUANTIZED_INLINE void dot_strip_group(const Unit<type>& unit, int64_t group,
                                               const ActivationBlock* const (&block)[Rows], int half,
                                               __m256i (&dot)[Rows][1]) {
  using K = typename Unit<type>::K;
  const auto quad = [&](int q, int) __attribute__((always_inline)) { return unit.quad(group, q); };
  dot_group<K, Rows, 1>(block, half, quad, dot);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
