// The softmax of attention: one row of scores of one key block, and the merge of key blocks. Base 2 throughout: the
// queries carry the factor log2 e. Used by attention_rows.h.
#pragma once

#include <immintrin.h>

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "kernels/avx2/lanes.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr float kLog2e = 1.44269504088896340736f;

// 2^x for x <= 0, to 2 units in the last place; 0 below -126.5 and for -inf, 1 for 0, NaN for NaN. Not for positive x.
// The exponent is built in the low bits of x + 1.5·2^23 + 127 and shifted into place: x = -127 gives the factor 0.
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

// What is subtracted from scores whose maximum is `maximum`: -inf (no key counts) would make NaN of -inf - -inf.
inline __m256 base_of(__m256 maximum) {
  const __m256 none = _mm256_cmp_ps(maximum, _mm256_set1_ps(-INFINITY), _CMP_EQ_OQ);
  return _mm256_andnot_ps(none, maximum);
}

// All ones in the lanes below `lanes`.
inline __m256i lanes_below(int64_t lanes) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(lanes)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline __m256 add_mask(__m256 score, __m256 mask) {
  const __m256 infinite = _mm256_cmp_ps(mask, _mm256_set1_ps(-INFINITY), _CMP_EQ_OQ);
  const __m256 sum = _mm256_fmadd_ps(mask, _mm256_set1_ps(kLog2e), score);
  const __m256 finite = _mm256_max_ps(_mm256_set1_ps(-FLT_MAX), sum);  // only the mask's own -inf excludes a key
  return _mm256_blendv_ps(finite, _mm256_set1_ps(-INFINITY), infinite);
}

// Turns keys > 0 scores, in place, into weights 2^(score - maximum), and gives the maximum and the sum of weights.
// Scores from `keys` to the next multiple of 8 are overwritten. The maximum passes over NaN, the sum does not.
template <bool masked>
inline void softmax_row(float* scores, int64_t keys, const float* mask, float* block_max, float* block_sum) {
  const int64_t whole = keys & ~int64_t{7};
  const int64_t padded = (keys + 7) & ~int64_t{7};
  __m256 max0 = _mm256_set1_ps(-INFINITY);
  __m256 max1 = max0;
  if (masked) {
    for (int64_t j = 0; j < whole; j += 8) {
      const __m256 score = add_mask(_mm256_load_ps(scores + j), _mm256_loadu_ps(mask + j));
      _mm256_store_ps(scores + j, score);
      max0 = _mm256_max_ps(score, max0);
    }
  } else {
    int64_t j = 0;
    for (; j + 16 <= whole; j += 16) {
      max0 = _mm256_max_ps(_mm256_load_ps(scores + j), max0);
      max1 = _mm256_max_ps(_mm256_load_ps(scores + j + 8), max1);
    }
    if (j < whole) max0 = _mm256_max_ps(_mm256_load_ps(scores + j), max0);
  }
  if (whole < padded) {
    const __m256i valid = lanes_below(keys - whole);
    __m256 score = _mm256_load_ps(scores + whole);
    if (masked) score = add_mask(score, _mm256_maskload_ps(mask + whole, valid));
    score = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), score, _mm256_castsi256_ps(valid));
    _mm256_store_ps(scores + whole, score);
    max1 = _mm256_max_ps(score, max1);
  }
  *block_max = max_lanes(_mm256_max_ps(max0, max1));
  const __m256 base = base_of(_mm256_set1_ps(*block_max));
  __m256 sums = _mm256_setzero_ps();  // lane = key mod 8
  for (int64_t j = 0; j < padded; j += 8) {
    const __m256 weight = exp2_8(_mm256_sub_ps(_mm256_load_ps(scores + j), base));
    _mm256_store_ps(scores + j, weight);
    sums = _mm256_add_ps(sums, weight);
  }
  *block_sum = sum_lanes(sums);
}

// Merges the maximum and sum of a key block into those of 8 rows, and gives the factors by which the rows' outputs
// so far (keep) and of the block (take) enter the merged output. Rows that see no key of the block stay as they are.
inline void merge_rows(const float* block_max, const float* block_sum, const int32_t* keys, float* total_max,
                       float* total_sum, float* keep, float* take) {
  const __m256 seen = _mm256_castsi256_ps(
      _mm256_cmpgt_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys)), _mm256_setzero_si256()));
  const __m256 old_max = _mm256_loadu_ps(total_max);
  const __m256 old_sum = _mm256_loadu_ps(total_sum);
  const __m256 new_max = _mm256_loadu_ps(block_max);
  const __m256 next_max = _mm256_max_ps(new_max, old_max);
  const __m256 base = base_of(next_max);
  const __m256 keeps = exp2_8(_mm256_sub_ps(old_max, base));
  const __m256 takes = exp2_8(_mm256_sub_ps(new_max, base));
  const __m256 next_sum = _mm256_fmadd_ps(_mm256_loadu_ps(block_sum), takes, _mm256_mul_ps(old_sum, keeps));
  _mm256_storeu_ps(keep, keeps);
  _mm256_storeu_ps(take, takes);
  _mm256_storeu_ps(total_max, _mm256_blendv_ps(old_max, next_max, seen));
  _mm256_storeu_ps(total_sum, _mm256_blendv_ps(old_sum, next_sum, seen));
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
