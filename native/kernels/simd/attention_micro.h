// Micro-kernels of attention with eight lanes: rows × (8 · vectors) sums in registers; every sum is one FMA chain in ascending
// order. Included by attention_6x16.h and attention_few.h.
#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/simd/attention_pack.h"
#include "kernels/simd/attention_strip.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr int kMicroRows = 6;  // 6 × 16: 12 sums, 2 loads of b and a broadcast in 15 of the 16 registers

// c[r][:] += a[r][step] · load(step, :) for the steps begin .. end-1.
template <int rows, int vectors, typename Load>
inline __attribute__((always_inline)) void accumulate_loaded(F32x8 (&c)[rows][vectors], const float* a,
                                                             int64_t a_stride, int64_t begin, int64_t end, Load load) {
#pragma GCC unroll 2
  for (int64_t step = begin; step < end; ++step) {
    F32x8 columns[vectors];
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) columns[i] = load(step, i);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const F32x8 factor = broadcast_f32x8(a + r * a_stride + step);
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) c[r][i] = fma(factor, columns[i], c[r][i]);
    }
  }
}

// c[r][:] += a[r][step] · b[step][:] for the steps begin .. end-1.
template <int rows, int vectors, typename T>
inline __attribute__((always_inline)) void accumulate(F32x8 (&c)[rows][vectors], const float* a, int64_t a_stride,
                                                      const T* b, int64_t b_stride, int64_t begin, int64_t end) {
  accumulate_loaded(c, a, a_stride, begin, end, [&](int64_t step, int i) __attribute__((always_inline)) {
    return load8(b + step * b_stride + i * 8);
  });
}

// Computes the scores of `rows` queries (packed, dim apart) with one panel of 16 keys.
template <int rows>
void scores_6x16(int64_t dim, const float* q, const float* k_panel, float* scores) {
  F32x8 c[rows][2];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) c[r][0] = c[r][1] = f32x8(0);
  accumulate<rows, 2>(c, q, dim, k_panel, kPanel, 0, dim);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    store_aligned_f32x8(scores + r * kAttentionKeyBlock, c[r][0]);
    store_aligned_f32x8(scores + r * kAttentionKeyBlock + 8, c[r][1]);
  }
}

// The output for 8 sums of a row with a single key block. Adding 0 turns -0 into 0, as merging with an empty total
// would. A factor of 0 means that the row has no weights: then the output is 0 whatever the sums are.
inline F32x8 single_output(F32x8 sums, float factor) {
  if (factor == 0) return f32x8(0);
  return mul(add(sums, f32x8(0)), f32x8(factor));
}

// Merges 8 sums of a key block into the row's total: total = total · keep + sums · take.
inline void merge_sums(F32x8 sums, float keep, float take, float* total) {
  const F32x8 kept = mul(load_f32x8(total), f32x8(keep));
  store_f32x8(total, fma(sums, f32x8(take), kept));
}

// For `rows` rows of the strip and `vectors` vectors of columns from panel `panel` on: sums weights[r][j] · v[j][:]
// over the row's keys. With a single key block the sums times the row's factor are its output; else they are merged
// into its total, and a row that sees no key stays as it is. The keys that all rows see are summed for all rows
// together, the remaining keys row by row.
template <int rows, int vectors>
void outputs_6x16(const Strip& strip, int64_t row, int64_t panel) {
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
  F32x8 c[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) c[r][i] = f32x8(0);
  }
  accumulate<rows, vectors>(c, weights, kAttentionKeyBlock, v, v_stride, 0, common);
  if (ragged) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      F32x8 rest[1][vectors];
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
      for (int i = 0; i < vectors; ++i) store_f32x8(to + i * 8, single_output(c[r][i], take));
    } else if (keys[r] > 0) {
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) merge_sums(c[r][i], strip.keep[row + r], take, to + i * 8);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
