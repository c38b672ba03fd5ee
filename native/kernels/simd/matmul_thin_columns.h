// The thin path along columns of the wide operand whose k is contiguous (weights stored [n, k]), with at most kThinFew rows
// of the thin one: columns are transposed in registers, and all sums stay in registers. Included by matmul_thin_loops.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/matmul.h"
#include "kernels/simd/column_square.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// The distance of the rows of sums: with exactly a strip all rows would map to the same sets of L1.
constexpr int64_t kSumsStride = kThinStrip + 16;

// The sums of T thin rows with a strip of the wide operand: sums[i · kSumsStride + j] += x[p · T + i] · w[p, j] over p.
// A row of sums is a whole number of vectors; the lanes from `columns` on are not used.
template <typename Element>
struct Strip {
  const Element* w;  // w[p, j] at w + p + j · stride_j
  int64_t stride_j;
  int64_t k;
  int64_t columns;
  const float* x;
  float* sums;
};

// Eight whole columns; eight whole columns with prefetching of the next group; or the last, fewer than eight.
enum class Columns { whole, whole_prefetching, last };

// Adds Groups × 8 columns whose k is contiguous (weights stored [n, k]), by 8 × 8 transposes in registers.
template <int T, int Groups, Columns Kind, typename Element>
inline void columns_group(const Strip<Element>& s, int64_t j) {
  const Element* first = s.w + j * s.stride_j;
  const Element* column[8];
  if (Kind == Columns::last) {  // missing columns repeat the last one
    for (int64_t r = 0; r < 8; ++r) column[r] = first + std::min(r, s.columns - j - 1) * s.stride_j;
  }
  const auto at = [&](int group, int r) __attribute__((always_inline)) {
    return Kind == Columns::last ? column[r] : first + (group * 8 + r) * s.stride_j;
  };
  float* sums = s.sums + j;
  F32x8 sum[T][Groups];
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) sum[i][g] = load_f32x8(sums + i * kSumsStride + g * 8);
  }
  const auto add_step = [&](int64_t at_k, F32x8 w, int g) __attribute__((always_inline)) {
    const float* x = s.x + at_k * T;
#pragma GCC unroll 8
    for (int i = 0; i < T; ++i) sum[i][g] = fma(broadcast_f32x8(x + i), w, sum[i][g]);
  };
  // Adds kStep steps of k (one vector of each of 8 columns).
  constexpr int64_t kStep = 32 / static_cast<int64_t>(sizeof(Element));
  const auto square = [&](int64_t p, int g) __attribute__((always_inline)) {
    if constexpr (sizeof(Element) == 2) {
      Bits256 w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = load_bits256(at(g, r) + p);
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add_step(p + q, widen<Element>(low_half(w[q])), g);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add_step(p + 8 + q, widen<Element>(high_half(w[q])), g);
    } else {
      F32x8 w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = load8(at(g, r) + p);
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add_step(p + q, w[q], g);
    }
  };
  int64_t p = 0;
  // f32: whole cache lines of each column at a time, since columns a power of two apart map to one set of L1 and evict
  // each other. No win for elements of 16 bits: their squares are twice as long, and wait for the multipliers.
  constexpr int kSquares = sizeof(Element) == 2 ? 1 : 2;
  for (; p + kSquares * kStep <= s.k; p += kSquares * kStep) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      if (Kind == Columns::whole_prefetching) {
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
          const Element* next = at(g, r) + Groups * 8 * s.stride_j + p;
          prefetch(next);
        }
      }
#pragma GCC unroll 2
      for (int square_in_line = 0; square_in_line < kSquares; ++square_in_line) square(p + square_in_line * kStep, g);
    }
  }
  for (; p + 8 <= s.k; p += 8) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      F32x8 w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = load8(at(g, r) + p);
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add_step(p + q, w[q], g);
    }
  }
  if (p < s.k) {
    for (int g = 0; g < Groups; ++g) {
      F32x8 w[8];
      for (int r = 0; r < 8; ++r) w[r] = load_first(at(g, r) + p, s.k - p);
      transpose8(w);
      for (int64_t q = 0; q < s.k - p; ++q) add_step(p + q, w[q], g);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) store_f32x8(sums + i * kSumsStride + g * 8, sum[i][g]);
  }
}

// A group of columns shorter than this is one short run of memory. The hardware prefetchers, which see one stream for
// each column, do badly there, so the next group is prefetched.
constexpr int64_t kShortColumnBytes = 3072;

template <int T, typename Element>
inline void sum_columns_8(const Strip<Element>& s) {
  constexpr int kGroups = T == 1 ? 2 : 1;
  int64_t j = 0;
  if (s.stride_j * static_cast<int64_t>(sizeof(Element)) <= kShortColumnBytes) {
    for (; j + kGroups * 8 <= s.columns; j += kGroups * 8) columns_group<T, kGroups, Columns::whole_prefetching>(s, j);
  }
  for (; j + kGroups * 8 <= s.columns; j += kGroups * 8) columns_group<T, kGroups, Columns::whole>(s, j);
  for (; j + 8 <= s.columns; j += 8) columns_group<T, 1, Columns::whole>(s, j);
  if (j < s.columns) columns_group<T, 1, Columns::last>(s, j);
}

// Distance of the prefetches along a column, in cache lines. Near the end of a column the next group's columns are
// prefetched. They go into L2: those of sixteen columns would fill half of L1, which waits for fewer lines at once.
constexpr int64_t kLinesAhead = 16;

// Adds sixteen columns, one cache line of each at a time. If fewer are left, missing columns repeat the last one. Only for
// registers of sixteen lanes. With the square of column_square.h GCC 12 spills more of eight rows' sums of 16-bit elements.
template <int T, bool Whole, typename Element>
inline void sixteen_columns(const Strip<Element>& s, int64_t j) {
  constexpr int64_t kLine = kCacheLineBytes / static_cast<int64_t>(sizeof(Element));
  constexpr int64_t kSteps = sizeof(Element) == 4 ? 1 : 2;  // steps of k in a 32-bit lane
  const Element* first = s.w + j * s.stride_j;
  const auto column = [&](int64_t r) __attribute__((always_inline)) {
    return first + (Whole ? r : std::min(r, s.columns - j - 1)) * s.stride_j;
  };
  float* sums = s.sums + j;
  F32x16 sum[T];
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) sum[i] = load_f32x16(sums + i * kSumsStride);
  const auto add_step = [&](int64_t p, F32x16 w) __attribute__((always_inline)) {
    const float* x = s.x + p * T;
#pragma GCC unroll 8
    for (int i = 0; i < T; ++i) sum[i] = fma(broadcast_f32x16(x + i), w, sum[i]);
  };
  const auto add_lane = [&](int64_t p, F32x16 lane, int64_t count) __attribute__((always_inline)) {
    if constexpr (sizeof(Element) == 4) {
      add_step(p, lane);
    } else {
      add_step(p, element_of_pairs<Element>(lane, false));
      if (count > 1) add_step(p + 1, element_of_pairs<Element>(lane, true));
    }
  };
  int64_t p = 0;
  for (; p + kLine <= s.k; p += kLine) {
    int64_t ahead = p + kLinesAhead * kLine;
    if (ahead >= s.k) ahead += 16 * s.stride_j - s.k;
    F32x16 w[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) {
      const Element* at = column(r);
      if (Whole) prefetch_far(at + ahead);
      w[r] = load_f32x16(reinterpret_cast<const float*>(at + p));
    }
    transpose16(w);
#pragma GCC unroll 16
    for (int q = 0; q < 16; ++q) add_lane(p + q * kSteps, w[q], kSteps);
  }
  if (p < s.k) {
    const int64_t rest = s.k - p;
    F32x16 w[16];
    for (int r = 0; r < 16; ++r) {
      alignas(64) Element line[kLine] = {};
      std::memcpy(line, column(r) + p, static_cast<size_t>(rest) * sizeof(Element));
      w[r] = load_aligned_f32x16(reinterpret_cast<const float*>(line));
    }
    transpose16(w);
    for (int64_t q = 0; q * kSteps < rest; ++q) add_lane(p + q * kSteps, w[q], rest - q * kSteps);
  }
  const Mask16 present = first_lanes16(s.columns - j);
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
    if (Whole) store_f32x16(sums + i * kSumsStride, sum[i]);
    else masked_store_f32x16(sums + i * kSumsStride, present, sum[i]);
  }
}

// Adds a strip to the sums of T rows. With eight lanes GCC 12 spills in a loop that is written for any number of them.
template <int T, typename Element>
void sum_columns(const Strip<Element>& s) {
  if constexpr (kFloats == 8) {
    sum_columns_8<T>(s);
  } else {
    int64_t j = 0;
    for (; j + 16 <= s.columns; j += 16) sixteen_columns<T, true>(s, j);
    if (j < s.columns) sixteen_columns<T, false>(s, j);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
