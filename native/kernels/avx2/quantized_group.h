// Groups of one strip with vectors of 8 lanes: dot_strip_group for one row (quantized_few.h), store_scales and
// store_quads for panels (quantized_panel.h). Included by the AVX2 and AVX-VNNI quantized kernels.
#pragma once

#include "kernels/avx2/quantized_panel.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// dot[r] receives the exact sums of row r with the 8 rows of weights. `half` as in dot_group.
template <QuantizedType type, int Rows>
TESSERAE_QUANTIZED_INLINE void dot_strip_group(const Unit<type>& unit, int64_t group,
                                               const ActivationBlock* const (&block)[Rows], int half,
                                               __m256i (&dot)[Rows][1]) {
  using K = typename Unit<type>::K;
  const int first_quad = K::group == 16 ? half * 4 : 0;
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) dot[r][0] = _mm256_setzero_si256();
  const auto values = [&](int r, int q) __attribute__((always_inline)) { return broadcast_quad(*block[r], first_quad + q); };
  const auto quad = [&](int q, int) __attribute__((always_inline)) { return unit.quad(group, q); };
  dot_group<K, Rows, 1>(values, quad, dot);
}

// Stores the scales and minima of a unit: those of group g at g · kPanelRows.
template <QuantizedType type>
TESSERAE_QUANTIZED_INLINE void store_scales(const Unit<type>& unit, float* scales, float* mins) {
  using U = Unit<type>;
  for (int64_t g = 0; g < U::layout.groups; ++g) {
    _mm256_store_ps(scales + g * kPanelRows, unit.scale(g));
    if constexpr (U::has_min) _mm256_store_ps(mins + g * kPanelRows, unit.min(g));
  }
}

// Stores the quads of a group of two strips side by side, kQuadBytes apart. Split codes: also the sums of the magnitudes
// of negative codes.
template <QuantizedType type>
TESSERAE_QUANTIZED_INLINE void store_quads(const Unit<type>& first, const Unit<type>& second, int64_t group, int,
                                           unsigned char* codes, int32_t* negatives) {
  using K = typename Unit<type>::K;
  __m256i negative[2] = {};
#pragma GCC unroll 8
  for (int q = 0; q < K::quads; ++q, codes += kQuadBytes<K>) {
    auto* to = reinterpret_cast<__m256i*>(codes);
    const __m256i quad[2] = {first.quad(group, q), second.quad(group, q)};
#pragma GCC unroll 2
    for (int s = 0; s < 2; ++s) {
      if constexpr (K::is_split) {
        const __m256i magnitude = _mm256_abs_epi8(quad[s]);
        const __m256i mask = _mm256_cmpgt_epi8(_mm256_setzero_si256(), quad[s]);
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_and_si256(magnitude, mask), _mm256_set1_epi8(1));
        negative[s] = _mm256_add_epi32(negative[s], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        _mm256_store_si256(to + 2 * s, magnitude);
        _mm256_store_si256(to + 2 * s + 1, mask);
      } else {
        _mm256_store_si256(to + s, quad[s]);
      }
    }
  }
  if constexpr (K::is_split) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(negatives), negative[0]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(negatives) + 1, negative[1]);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
