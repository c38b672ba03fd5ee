// The softmax of attention: the scores of a row in one key block, and the merging of key blocks. Exponentials have base
// 2, since the queries are multiplied by log2 e. Included by attention_rows.h.
#pragma once

#include <immintrin.h>

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "kernels/avx2/lanes.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr float kLog2e = 1.44269504088896340736f;

// 2^x for x <= 0, with an error of at most 2 units in the last place; 0 below -126.5 and for -inf, 1 for 0, NaN for
// NaN. Not for positive x. The biased exponent is in the low bits of x + 1.5·2^23 + 127; x = -127 gives the factor 0.
inline __m256 exp2_8(__m256 x) {
  const __m256 shifter = _mm256_set1_ps(12582912.0f + 127.0f);
  x = _mm256_max_ps(_mm256_set1_ps(-127.0f), x);  // keeps a NaN, the second operand
  const __m256 shifted = _mm256_add_ps(x, shifter);
  const __m256 r = _mm256_sub_ps(x, _mm256_sub_ps(shifted, shifter));
  __m256 y = _mm256_set1_ps(0x1.5bb9aap-10f);
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0x1.3cea84p-7f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0x1.c6b754p-5f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0x1.ebf9bcp-3f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(0x1.62e42ap-1f));
  y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.0f));
  return _mm256_mul_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23)));
}

// The number to subtract from scores whose maximum is `maximum`. For a maximum of -inf (no key counts) it is 0, since
// -inf - -inf would be NaN.
inline __m256 base_of(__m256 maximum) {
  const __m256 none = _mm256_cmp_ps(maximum, _mm256_set1_ps(-INFINITY), _CMP_EQ_OQ);
  return _mm256_andnot_ps(none, maximum);
}

// All bits set in the first `lanes` lanes.
inline __m256i lanes_below(int64_t lanes) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(lanes)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline __m256 add_mask(__m256 score, __m256 mask) {
  const __m256 infinite = _mm256_cmp_ps(mask, _mm256_set1_ps(-INFINITY), _CMP_EQ_OQ);
  const __m256 sum = _mm256_fmadd_ps(mask, _mm256_set1_ps(kLog2e), score);
  const __m256 finite = _mm256_max_ps(_mm256_set1_ps(-FLT_MAX), sum);  // only a mask of -inf excludes a key
  return _mm256_blendv_ps(finite, _mm256_set1_ps(-INFINITY), infinite);
}

// The maximum of the first `keys` (> 0) scores; if masked, the mask is added to them in place first. Scores from
// `keys` to `padded`, a multiple of 16, are set to -inf. NaN is ignored.
template <bool masked>
inline float row_maximum(float* scores, int64_t keys, int64_t padded, const float* mask) {
  const __m256 none = _mm256_set1_ps(-INFINITY);
  const int64_t whole = keys & ~int64_t{7};
  __m256 max0 = none;
  __m256 max1 = none;
  int64_t j = 0;
  if (masked) {
    for (; j < whole; j += 8) {
      const __m256 score = add_mask(_mm256_load_ps(scores + j), _mm256_loadu_ps(mask + j));
      _mm256_store_ps(scores + j, score);
      max0 = _mm256_max_ps(score, max0);
    }
  } else {
    for (; j + 16 <= whole; j += 16) {
      max0 = _mm256_max_ps(_mm256_load_ps(scores + j), max0);
      max1 = _mm256_max_ps(_mm256_load_ps(scores + j + 8), max1);
    }
    if (j < whole) max0 = _mm256_max_ps(_mm256_load_ps(scores + j), max0);
  }
  if (whole < keys) {
    const __m256i valid = lanes_below(keys - whole);
    __m256 score = _mm256_load_ps(scores + whole);
    if (masked) score = add_mask(score, _mm256_maskload_ps(mask + whole, valid));
    score = _mm256_blendv_ps(none, score, _mm256_castsi256_ps(valid));
    _mm256_store_ps(scores + whole, score);
    max1 = _mm256_max_ps(score, max1);
  }
  for (j = (keys + 7) & ~int64_t{7}; j < padded; j += 8) _mm256_store_ps(scores + j, none);
  return max_lanes(_mm256_max_ps(max0, max1));
}

// Replaces scores by weights 2^(score - maximum), and returns their sum. row_maximum must have run before.
inline float row_weights(float* scores, int64_t keys, float maximum) {
  const __m256 base = base_of(_mm256_set1_ps(maximum));
  __m256 sum0 = _mm256_setzero_ps();  // lane = key mod 16
  __m256 sum1 = sum0;
  for (int64_t j = 0; j < keys; j += 16) {
    const __m256 weight0 = exp2_8(_mm256_sub_ps(_mm256_load_ps(scores + j), base));
    const __m256 weight1 = exp2_8(_mm256_sub_ps(_mm256_load_ps(scores + j + 8), base));
    _mm256_store_ps(scores + j, weight0);
    _mm256_store_ps(scores + j + 8, weight1);
    sum0 = _mm256_add_ps(sum0, weight0);
    sum1 = _mm256_add_ps(sum1, weight1);
  }
  return sum_lanes(_mm256_add_ps(sum0, sum1));
}

// The mask of those of 8 rows that see a key of the block.
inline __m256 rows_seen(const int32_t* keys) {
  return _mm256_castsi256_ps(
      _mm256_cmpgt_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys)), _mm256_setzero_si256()));
}

// Merges the maxima of a key block into the totals of 8 rows, and computes the factors of the merge: `keep` for the
// outputs and sums so far, `take` for those of the block. Rows that see no key of the block stay as they are.
inline void merge_maxima(const float* block_max, const int32_t* keys, float* total_max, float* keep, float* take) {
  const __m256 old_max = _mm256_loadu_ps(total_max);
  const __m256 new_max = _mm256_loadu_ps(block_max);
  const __m256 next_max = _mm256_max_ps(new_max, old_max);
  const __m256 base = base_of(next_max);
  _mm256_storeu_ps(keep, exp2_8(_mm256_sub_ps(old_max, base)));
  _mm256_storeu_ps(take, exp2_8(_mm256_sub_ps(new_max, base)));
  _mm256_storeu_ps(total_max, _mm256_blendv_ps(old_max, next_max, rows_seen(keys)));
}

// Merges the sums of weights of a key block into the totals of 8 rows.
inline void merge_block_sums(const float* block_sum, const int32_t* keys, const float* keep, const float* take,
                             float* total_sum) {
  const __m256 old_sum = _mm256_loadu_ps(total_sum);
  const __m256 kept = _mm256_mul_ps(old_sum, _mm256_loadu_ps(keep));
  const __m256 next_sum = _mm256_fmadd_ps(_mm256_loadu_ps(block_sum), _mm256_loadu_ps(take), kept);
  _mm256_storeu_ps(total_sum, _mm256_blendv_ps(old_sum, next_sum, rows_seen(keys)));
}

// Computes the factors of the outputs of rows with a single key block, in whole vectors: 1 / sum, or 0 if the sum is 0.
inline void single_factors(const float* block_sum, int64_t rows, float* take) {
  for (int64_t r = 0; r < rows; r += 8) {
    const __m256 sums = _mm256_loadu_ps(block_sum + r);
    const __m256 none = _mm256_cmp_ps(sums, _mm256_setzero_ps(), _CMP_EQ_OQ);
    _mm256_storeu_ps(take + r, _mm256_andnot_ps(none, _mm256_div_ps(_mm256_set1_ps(1.0f), sums)));
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
