// Loops over a row, eight columns at a time. Full vectors and the masked remainder run the same code, so that the bits
// of a column do not depend on where the row ends. Included by the row-wise AVX2 kernels and by attention.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx2/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// All eight lanes.
struct AllLanes {
  TESSERAE_INLINE __m256 load(const float* p) const { return _mm256_loadu_ps(p); }
  TESSERAE_INLINE void store(float* p, __m256 v) const { _mm256_storeu_ps(p, v); }
  TESSERAE_INLINE __m256 keep(__m256 v, __m256) const { return v; }
};

// The first `count` lanes; the others load 0 and are not stored. keep(v, others) replaces them by those of `others`.
struct FirstLanes {
  __m256i mask;
  TESSERAE_INLINE explicit FirstLanes(int64_t count) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
  }
  TESSERAE_INLINE __m256 load(const float* p) const { return _mm256_maskload_ps(p, mask); }
  TESSERAE_INLINE void store(float* p, __m256 v) const { _mm256_maskstore_ps(p, mask, v); }
  TESSERAE_INLINE __m256 keep(__m256 v, __m256 others) const {
    return _mm256_blendv_ps(others, v, _mm256_castsi256_ps(mask));
  }
};

// Calls body(column, lanes) for each group of eight columns.
template <typename Body>
TESSERAE_INLINE void for_columns8(int64_t columns, Body&& body) {
  int64_t column = 0;
  for (; column + 8 <= columns; column += 8) body(column, AllLanes{});
  if (column < columns) body(column, FirstLanes(columns - column));
}

// A reduction with 32 accumulators: lane i of accumulator j gets the columns with column mod 32 = 8 j + i, in order.
// body(column, lanes, accumulator) returns the new accumulator and must not change lanes beyond the row's end. The
// result has one value for each column mod 8.
template <typename Body, typename Combine>
TESSERAE_INLINE __m256 reduce_columns8(int64_t columns, __m256 initial, Body&& body, Combine&& combine) {
  __m256 first = initial, second = initial, third = initial, fourth = initial;
  int64_t column = 0;
  for (; column + 32 <= columns; column += 32) {
    first = body(column, AllLanes{}, first);
    second = body(column + 8, AllLanes{}, second);
    third = body(column + 16, AllLanes{}, third);
    fourth = body(column + 24, AllLanes{}, fourth);
  }
  __m256 rest[4] = {first, second, third, fourth};
  int index = 0;
  for (; column + 8 <= columns; column += 8, ++index) rest[index] = body(column, AllLanes{}, rest[index]);
  if (column < columns) rest[index] = body(column, FirstLanes(columns - column), rest[index]);
  return combine(combine(rest[0], rest[1]), combine(rest[2], rest[3]));
}

// The sum of the lanes in a fixed order: ((0+4)+(2+6)) + ((1+5)+(3+7)).
TESSERAE_INLINE float sum_lanes(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

TESSERAE_INLINE float max_lanes(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  return _mm_cvtss_f32(m);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
