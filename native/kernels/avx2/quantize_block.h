// Quantizes blocks of 32 activations by the rule of quantized_rows.h. Included by the vector kernels that write
// quantized rows.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "kernels/quantized_rows.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// The sum of the four lanes.
[[gnu::always_inline]] inline int32_t sum_lanes4(__m128i v) {
  v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1)));
}

// The largest magnitude of a block. Magnitudes are compared as integers, so that NaN is the largest.
[[gnu::always_inline]] inline float largest_magnitude(const __m256 (&x)[4]) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  const auto bits = [&](int v) __attribute__((always_inline)) {
    return _mm256_and_si256(_mm256_castps_si256(x[v]), magnitude);
  };
  const __m256i largest = _mm256_max_epi32(_mm256_max_epi32(bits(0), bits(1)), _mm256_max_epi32(bits(2), bits(3)));
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

[[gnu::always_inline]] inline void quantize_block(const __m256 (&x)[4], ActivationBlock& y) {
  const float largest = largest_magnitude(x);
  const float inverse = 127.0f / largest;
  const bool is_finite = std::isfinite(largest);
  if (!is_finite || !std::isfinite(inverse)) {
    std::memset(&y, 0, sizeof(y));
    if (!is_finite) y.scale = largest / 127.0f;
    return;
  }
  const __m256 factor = _mm256_set1_ps(inverse);
  __m256i q[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) q[v] = _mm256_cvtps_epi32(_mm256_mul_ps(x[v], factor));
  y.scale = largest / 127.0f;
  const __m256i first = _mm256_add_epi32(q[0], q[1]);
  const __m256i second = _mm256_add_epi32(q[2], q[3]);
  y.half_sums[0] = sum_lanes4(_mm_add_epi32(_mm256_castsi256_si128(first), _mm256_extracti128_si256(first, 1)));
  y.half_sums[1] = sum_lanes4(_mm_add_epi32(_mm256_castsi256_si128(second), _mm256_extracti128_si256(second, 1)));
  y.sum = y.half_sums[0] + y.half_sums[1];
  // Packing interleaves the 128-bit halves; the permutation 0 4 1 5 2 6 3 7 of dwords restores the order.
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y.values), _mm256_permutevar8x32_epi32(packed, order));
}

// Quantizes a row of whole blocks.
[[gnu::always_inline]] inline void quantize_row(const float* x, int64_t columns, ActivationBlock* y) {
  for (int64_t column = 0; column < columns; column += kActivationBlock, ++y) {
    __m256 values[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) values[v] = _mm256_loadu_ps(x + column + v * 8);
    quantize_block(values, *y);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
