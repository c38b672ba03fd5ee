// The thin path's sums in memory: along rows of the wide operand, and for any strides. Included by matmul_thin_many.h and
// matmul_thin_squares.h.
#pragma once

#include <algorithm>

#include "kernels/simd/matmul_thin_tile.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Sums are stored in groups of kManyColumns columns, a cache line for each row; the thin operand is copied in groups of
// steps of k.
constexpr int64_t kManyColumns = 16;
constexpr int64_t kManySteps = 16;

// The sum of row i with column j is at sums + (j / 16 · rows + i) · 16 + j % 16. The thin element (p, i) is at
// x + (p / group · rows + i) · group + p % group, with groups of kManySteps steps of k along rows, and of 1 otherwise.
template <typename Element>
struct ManyRows {
  StridedOperand<Element> w;
  int64_t k;
  int64_t columns;
  int64_t rows;
  const float* x;
  float* sums;
};

// Adds `steps` rows of a square [steps][16] of w to the sums of all thin rows.
inline void add_square(const float* square, int64_t steps, int64_t rows, const float* x, float* sums) {
  for (int64_t i = 0; i < rows; ++i, sums += kManyColumns) {
    F32x16 sum = load_f32x16(sums);
    for (int64_t q = 0; q < steps; ++q) {
      sum = fma(broadcast_f32x16(x + q * rows + i), load_aligned_f32x16(square + q * kManyColumns), sum);
    }
    store_f32x16(sums, sum);
  }
}

// Adds up to 16 columns from step p of k on, for any strides: copies squares of 16 × 16 element by element. Also used
// for the remaining steps of columns whose k is contiguous.
template <typename Element>
void many_by_elements(const ManyRows<Element>& s, int64_t first_column, int64_t columns, int64_t p) {
  alignas(64) float square[kManySteps * kManyColumns] = {};
  for (; p < s.k; p += kManySteps) {
    const int64_t steps = std::min(s.k - p, kManySteps);
    for (int64_t j = 0; j < columns; ++j) {
      const Element* from = s.w.at(p, first_column + j).data;
      for (int64_t q = 0; q < steps; ++q) square[q * kManyColumns + j] = load1(from + q * s.w.stride_k);
    }
    add_square(square, steps, s.rows, s.x + p * s.rows, s.sums + first_column * s.rows);
  }
}

// Adds Steps rows of w, which stay in registers, to the sums of all thin rows: each vector of sums is loaded and stored
// once for Steps FMAs. load(q, v) is vector v of row q.
template <int Steps, int Vectors, typename Load>
TESSERAE_INLINE void rows_step(int64_t rows, const float* x, float* sums, Load load) {
  Floats w[Steps][Vectors];
#pragma GCC unroll 4
  for (int q = 0; q < Steps; ++q) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) w[q][v] = load(q, v);
  }
  const int64_t next = kFloats < kManyColumns ? kFloats : rows * kManyColumns;  // from a vector of sums to the next
  for (int64_t i = 0; i < rows; ++i, x += kManySteps, sums += kManyColumns) {
    Floats sum[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sum[v] = load_vector<Floats>(sums + v * next);
#pragma GCC unroll 4
    for (int q = 0; q < Steps; ++q) {
      const Floats factor = splat<Floats>(x[q]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[v] = fma(factor, w[q][v], sum[v]);
    }
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) store_vector(sums + v * next, sum[v]);
  }
}

// Rows of w that are added at a time; they are prefetched kRowStepsAhead · kRowSteps rows ahead, into L2: twelve runs of 4 KiB
// are more than L1 holds. Rows are read as long runs, which the hardware prefetchers follow.
constexpr int kRowSteps = 4;
constexpr int kRowStepsAhead = 3;

template <int Steps, typename Element>
inline void rows_of_k(const ManyRows<Element>& s, int64_t p) {
  constexpr int64_t kLine = kCacheLineBytes / static_cast<int64_t>(sizeof(Element));
  constexpr int64_t kColumns = 2 * kFloats;
  const Element* w = s.w.at(p, 0).data;
  const int64_t stride = s.w.stride_k;
  const float* x = s.x + p / kManySteps * kManySteps * s.rows + p % kManySteps;
  int64_t j = 0;
  for (; j + kColumns <= s.columns; j += kColumns) {
#pragma GCC unroll 4
    for (int q = 0; q < Steps; ++q) {
      const Element* ahead = w + (kRowStepsAhead * Steps + q) * stride + j;
      prefetch_far(ahead);
      if (kColumns > kLine) prefetch_far(ahead + kLine);
    }
    rows_step<Steps, 2>(s.rows, x, s.sums + j * s.rows, [&](int q, int v) __attribute__((always_inline)) {
      return load_floats(w + q * stride + j + v * kFloats);
    });
  }
  for (; j < s.columns; j += kManyColumns) {
    rows_step<Steps, kManyColumns / kFloats>(
        s.rows, x, s.sums + j * s.rows, [&](int q, int v) __attribute__((always_inline)) {
          const int64_t rest = s.columns - j - v * kFloats;
          const Element* from = w + q * stride + j + v * kFloats;
          return rest >= kFloats ? load_floats(from) : rest > 0 ? load_first_floats(from, rest) : splat<Floats>(0);
        });
  }
}

template <typename Element>
void many_by_rows(const ManyRows<Element>& s) {
  int64_t p = 0;
  for (; p + kRowSteps <= s.k; p += kRowSteps) rows_of_k<kRowSteps>(s, p);
  for (; p < s.k; ++p) rows_of_k<1>(s, p);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
