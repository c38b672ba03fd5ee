// The softmax of attention: the scores of a row in one key block, and the merging of key blocks. Exponentials have base
// 2, since the queries are multiplied by log2 e. Included by attention_rows.h.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "kernels/simd/lanes.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr float kLog2e = 1.44269504088896340736f;

// The constants of exp2_lanes. Where registers are scarce they are read from memory for each use.
struct Exp2Constants {
  float least = -127.0f;
  float shifter = 12582912.0f + 127.0f;
  float terms[6] = {0x1.5bb9aap-10f, 0x1.3cea84p-7f, 0x1.c6b754p-5f, 0x1.ebf9bcp-3f, 0x1.62e42ap-1f, 1.0f};
};
inline constexpr Exp2Constants kExp2Constants;

// 2^x for x <= 0, with an error of at most 2 units in the last place; 0 below -126.5 and for -inf, 1 for 0, NaN for
// NaN. Not for positive x. The biased exponent is in the low bits of x + 1.5·2^23 + 127; x = -127 gives the factor 0.
template <typename V>
TESSERAE_INLINE V exp2_lanes(V x, const Exp2Constants& constants = kExp2Constants) {
  const V shifter = splat<V>(constants.shifter);
  x = max(splat<V>(constants.least), x);  // keeps a NaN, the second operand
  const V shifted = add(x, shifter);
  const V r = sub(x, sub(shifted, shifter));
  V y = splat<V>(constants.terms[0]);
#pragma GCC unroll 5
  for (int i = 1; i < 6; ++i) y = fma(y, r, splat<V>(constants.terms[i]));
  return mul(y, as_f32(shift_left_i32(bits_of(shifted), 23)));
}

// The number to subtract from scores whose maximum is `maximum`. For a maximum of -inf (no key counts) it is 0, since
// -inf - -inf would be NaN.
inline F32x8 base_of(F32x8 maximum) {
  const F32x8 none = compare_equal(maximum, f32x8(-INFINITY));
  return and_not(none, maximum);
}

inline F32x16 add_mask(F32x16 score, F32x16 mask) {
  const auto infinite = compare_equal(mask, f32x16(-INFINITY));
  const F32x16 sum = fma(mask, f32x16(kLog2e), score);
  const F32x16 finite = max(f32x16(-FLT_MAX), sum);  // only a mask of -inf excludes a key
  return blend(finite, f32x16(-INFINITY), infinite);
}

// The maximum of the first `keys` (> 0) scores; if masked, the mask is added to them in place first. Scores from
// `keys` to `padded`, a multiple of 16, are set to -inf. NaN is ignored.
template <bool masked>
inline float row_maximum(float* scores, int64_t keys, int64_t padded, const float* mask) {
  const F32x16 none = f32x16(-INFINITY);
  const int64_t whole = keys & ~int64_t{15};
  F32x16 maximum = none;
  int64_t j = 0;
  for (; j < whole; j += 16) {
    F32x16 score = load_aligned_f32x16(scores + j);
    if (masked) {
      score = add_mask(score, load_f32x16(mask + j));
      store_aligned_f32x16(scores + j, score);
    }
    maximum = max(score, maximum);
  }
  if (j < keys) {
    const Mask16 valid = first_lanes16(keys - j);
    F32x16 score = load_aligned_f32x16(scores + j);
    if (masked) score = add_mask(score, masked_load_f32x16(mask + j, valid));
    score = blend(none, score, valid);
    store_aligned_f32x16(scores + j, score);
    maximum = max(score, maximum);
    j += 16;
  }
  for (; j < padded; j += 16) store_aligned_f32x16(scores + j, none);
  return max_lanes(maximum);
}

// Replaces scores by weights 2^(score - maximum), and returns their sum. row_maximum must have run before.
inline float row_weights(float* scores, int64_t keys, float maximum) {
  const F32x16 base = f32x16(maximum == -INFINITY ? 0.0f : maximum);
  F32x16 sums = f32x16(0);  // lane = key mod 16
  for (int64_t j = 0; j < keys; j += 16) {
    const F32x16 weight = exp2_lanes(sub(load_aligned_f32x16(scores + j), base));
    store_aligned_f32x16(scores + j, weight);
    sums = add(sums, weight);
  }
  return sum_lanes(sums);
}

// The mask of those of 8 rows that see a key of the block.
inline F32x8 rows_seen(const int32_t* keys) {
  return as_f32(
      greater_i32(load_bits256(keys), i32x8(0)));
}

// Merges the maxima of a key block into the totals of 8 rows, and computes the factors of the merge: `keep` for the
// outputs and sums so far, `take` for those of the block. Rows that see no key of the block stay as they are.
inline void merge_maxima(const float* block_max, const int32_t* keys, float* total_max, float* keep, float* take) {
  const F32x8 old_max = load_f32x8(total_max);
  const F32x8 new_max = load_f32x8(block_max);
  const F32x8 next_max = max(new_max, old_max);
  const F32x8 base = base_of(next_max);
  store_f32x8(keep, exp2_lanes(sub(old_max, base)));
  store_f32x8(take, exp2_lanes(sub(new_max, base)));
  store_f32x8(total_max, blend(old_max, next_max, rows_seen(keys)));
}

// Merges the sums of weights of a key block into the totals of 8 rows.
inline void merge_block_sums(const float* block_sum, const int32_t* keys, const float* keep, const float* take,
                             float* total_sum) {
  const F32x8 old_sum = load_f32x8(total_sum);
  const F32x8 kept = mul(old_sum, load_f32x8(keep));
  const F32x8 next_sum = fma(load_f32x8(block_sum), load_f32x8(take), kept);
  store_f32x8(total_sum, blend(old_sum, next_sum, rows_seen(keys)));
}

// Computes the factors of the outputs of rows with a single key block, in whole vectors: 1 / sum, or 0 if the sum is 0.
inline void single_factors(const float* block_sum, int64_t rows, float* take) {
  for (int64_t r = 0; r < rows; r += 8) {
    const F32x8 sums = load_f32x8(block_sum + r);
    const F32x8 none = compare_equal(sums, f32x8(0));
    store_f32x8(take + r, and_not(none, div(f32x8(1.0f), sums)));
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
