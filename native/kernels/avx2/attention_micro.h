// The AVX2 micro-kernels of attention: rows × (8 · vectors) sums in registers; every sum is one FMA chain in ascending
// order. Included by attention_avx2.h and attention_few.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/avx2/attention_pack.h"
#include "kernels/avx2/attention_strip.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr int kMicroRows = 6;  // 6 × 16: 12 sums, 2 loads of b and a broadcast in 15 of the 16 registers

// c[r][:] += a[r][step] · load(step, :) for the steps begin .. end-1.
template <int rows, int vectors, typename Load>
inline __attribute__((always_inline)) void accumulate_loaded(__m256 (&c)[rows][vectors], const float* a,
                                                             int64_t a_stride, int64_t begin, int64_t end, Load load) {
#pragma GCC unroll 2
  for (int64_t step = begin; step < end; ++step) {
    __m256 columns[vectors];
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) columns[i] = load(step, i);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const __m256 factor = _mm256_broadcast_ss(a + r * a_stride + step);
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) c[r][i] = _mm256_fmadd_ps(factor, columns[i], c[r][i]);
    }
  }
}

// c[r][:] += a[r][step] · b[step][:] for the steps begin .. end-1.
template <int rows, int vectors, typename T>
inline __attribute__((always_inline)) void accumulate(__m256 (&c)[rows][vectors], const float* a, int64_t a_stride,
                                                      const T* b, int64_t b_stride, int64_t begin, int64_t end) {
  accumulate_loaded(c, a, a_stride, begin, end, [&](int64_t step, int i) __attribute__((always_inline)) {
    return load8(b + step * b_stride + i * 8);
  });
}

// Computes the scores of `rows` queries (packed, dim apart) with one panel of 16 keys.
template <int rows>
void scores_avx2(int64_t dim, const float* q, const float* k_panel, float* scores) {
  __m256 c[rows][2];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) c[r][0] = c[r][1] = _mm256_setzero_ps();
  accumulate<rows, 2>(c, q, dim, k_panel, kPanel, 0, dim);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    _mm256_store_ps(scores + r * kAttentionKeyBlock, c[r][0]);
    _mm256_store_ps(scores + r * kAttentionKeyBlock + 8, c[r][1]);
  }
}

// The output for 8 sums of a row with a single key block. Adding 0 turns -0 into 0, as merging with an empty total
// would. A factor of 0 means that the row has no weights: then the output is 0 whatever the sums are.
inline __m256 single_output(__m256 sums, float factor) {
  if (factor == 0) return _mm256_setzero_ps();
  return _mm256_mul_ps(_mm256_add_ps(sums, _mm256_setzero_ps()), _mm256_set1_ps(factor));
}

// Merges 8 sums of a key block into the row's total: total = total · keep + sums · take.
inline void merge_sums(__m256 sums, float keep, float take, float* total) {
  const __m256 kept = _mm256_mul_ps(_mm256_loadu_ps(total), _mm256_set1_ps(keep));
  _mm256_storeu_ps(total, _mm256_fmadd_ps(sums, _mm256_set1_ps(take), kept));
}

// For `rows` rows of the strip and `vectors` vectors of columns from panel `panel` on: sums weights[r][j] · v[j][:]
// over the row's keys. With a single key block the sums times the row's factor are its output; else they are merged
// into its total, and a row that sees no key stays as it is. The keys that all rows see are summed for all rows
// together, the remaining keys row by row.
template <int rows, int vectors>
void outputs_avx2(const Strip& strip, int64_t row, int64_t panel) {
  const int32_t* keys = strip.keys + row;
  const float* weights = strip.scores + row * kAttentionKeyBlock;
  const float* v = strip.values.first + panel * strip.values.panel_stride;
  const int64_t v_stride = strip.values.row_stride;
  int64_t common = keys[0];
  bool ragged = false;
  for (int r = 1; r < rows; ++r) {
    ragged |= keys[r] != keys[0];
    if (keys[r] < common) common = keys[r];
  }
  __m256 c[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) c[r][i] = _mm256_setzero_ps();
  }
  accumulate<rows, vectors>(c, weights, kAttentionKeyBlock, v, v_stride, 0, common);
  if (ragged) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      __m256 rest[1][vectors];
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) rest[0][i] = c[r][i];
      accumulate<1, vectors>(rest, weights + r * kAttentionKeyBlock, 0, v, v_stride, common, keys[r]);
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) c[r][i] = rest[0][i];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    float* to = strip.to[row + r] + panel * kPanel;
    const float take = strip.take[row + r];
    if (strip.single) {
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) _mm256_storeu_ps(to + i * 8, single_output(c[r][i], take));
    } else if (keys[r] > 0) {
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) merge_sums(c[r][i], strip.keep[row + r], take, to + i * 8);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
