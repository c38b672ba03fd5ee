// The softmax of attention on sixteen lanes: maxima and weights of rows, with the same bits as
// simd/attention_softmax.h. Included by attention_avx512.h.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>

#include "kernels/simd/attention_softmax.h"
#include "kernels/avx512/lanes.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

// The constants of exp2_8. If registers are scarce they are read from memory for each use.
struct Exp2Constants {
  float least = -127.0f;
  float shifter = 12582912.0f + 127.0f;
  float terms[6] = {0x1.5bb9aap-10f, 0x1.3cea84p-7f, 0x1.c6b754p-5f, 0x1.ebf9bcp-3f, 0x1.62e42ap-1f, 1.0f};
};
inline constexpr Exp2Constants kExp2Constants;

// exp2_8 on sixteen lanes.
inline __attribute__((always_inline)) __m512 exp2_16(__m512 x, const Exp2Constants& constants) {
  const __m512 shifter = _mm512_set1_ps(constants.shifter);
  x = _mm512_max_ps(_mm512_set1_ps(constants.least), x);
  const __m512 shifted = _mm512_add_ps(x, shifter);
  const __m512 r = _mm512_sub_ps(x, _mm512_sub_ps(shifted, shifter));
  __m512 y = _mm512_set1_ps(constants.terms[0]);
#pragma GCC unroll 5
  for (int i = 1; i < 6; ++i) y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(constants.terms[i]));
  return _mm512_mul_ps(y, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23)));
}

// The sum of sixteen lanes (key mod 16), in the same order as in row_weights of AVX2.
inline float sum_lanes16(__m512 v) {
  return sum_lanes(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}

inline float max_lanes16(__m512 v) {
  return max_lanes(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}

// row_maximum without a mask.
inline float row_maximum_avx512(float* scores, int64_t keys, int64_t padded) {
  const __m512 none = _mm512_set1_ps(-INFINITY);
  const int64_t whole = keys & ~int64_t{15};
  __m512 maximum = none;
  int64_t j = 0;
  for (; j < whole; j += 16) maximum = _mm512_max_ps(_mm512_load_ps(scores + j), maximum);
  if (j < keys) {
    const __m512 rest = _mm512_mask_loadu_ps(none, first_of_16(keys - j), scores + j);
    _mm512_store_ps(scores + j, rest);
    maximum = _mm512_max_ps(rest, maximum);
    j += 16;
  }
  for (; j < padded; j += 16) _mm512_store_ps(scores + j, none);
  return max_lanes16(maximum);
}

// row_weights on sixteen lanes.
inline float row_weights_avx512(float* scores, int64_t keys, float maximum) {
  const __m512 base = _mm512_set1_ps(maximum == -INFINITY ? 0.0f : maximum);
  __m512 sums = _mm512_setzero_ps();
  for (int64_t j = 0; j < keys; j += 16) {
    const __m512 weight = exp2_16(_mm512_sub_ps(_mm512_load_ps(scores + j), base), kExp2Constants);
    _mm512_store_ps(scores + j, weight);
    sums = _mm512_add_ps(sums, weight);
  }
  return sum_lanes16(sums);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
