// The thin path along rows of the wide operand, and along columns with more than kThinFew rows of the thin one: the
// sums are kept in L1 while the wide operand is read once, a few steps of k at a time in registers. Included by
// matmul_thin_loops.h.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/simd/matmul_thin_rows.h"
#include "kernels/simd/matmul_thin_squares.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Copies a block of the thin operand to `to`, as f32, in groups of Group steps of k.
template <int64_t Group, typename Element>
void copy_thin(const StridedOperand<Element>& thin, int64_t rows, int64_t k, float* to) {
  for (int64_t p = 0; p < k; p += Group) {
    const int64_t count = std::min(k - p, Group);
    for (int64_t i = 0; i < rows; ++i, to += Group) {
      const Element* from = thin.at(p, i).data;
      if (std::is_same_v<Element, float> && Group > 1 && count == Group && thin.stride_k == 1) {
        std::memcpy(to, from, Group * sizeof(float));
      } else {
        for (int64_t q = 0; q < count; ++q) to[q] = load1(from + q * thin.stride_k);
      }
    }
  }
}

// Adds one block of k of one strip of columns. Along columns, eight lanes are no faster than packing, so
// src/ops/matmul/matmul-tiles.ts never chooses it for them (thin_across is 8).
template <typename Element>
void many_rows(const ManyRows<Element>& s) {
  if (s.w.stride_i == 1) return many_by_rows(s);
  if constexpr (kFloats == 16) {
    if (s.w.stride_k == 1) return many_by_squares(s);
  }
  for (int64_t j = 0; j < s.columns; j += kManyColumns) {
    many_by_elements(s, j, std::min(s.columns - j, kManyColumns), 0);
  }
}

template <typename Thin, typename Wide>
void thin_tile_many(const ThinTile<Thin, Wide>& tile, float* scratch) {
  const int64_t rows = tile.rows;
  float* sums = scratch;
  float* x = sums + kThinMax * kThinStrip;
  float* row = x + kThinMax * kThinKc;
  // Along rows of the wide operand all sums of a strip are read and written every few steps of k, and must stay in L1.
  const bool by_rows = tile.wide.stride_i == 1;
  const int64_t step = by_rows ? std::max(kThinSums / rows / 32 * 32, int64_t{32}) : kThinStrip;
  // LOOP 3: split the wide operand's columns into strips of kThinStrip.
  for (int64_t first = 0; first < tile.columns; first += kThinStrip) {
    const int64_t columns = std::min(tile.columns - first, kThinStrip);
    const int64_t groups = (columns + kManyColumns - 1) / kManyColumns;
    std::fill(sums, sums + groups * kManyColumns * rows, 0.0f);
    // LOOP 2: split k into blocks of kThinKc; the thin operand's block stays in L2. Sequential: each block continues
    // the sums.
    for (int64_t p = 0; p < tile.k; p += kThinKc) {
      const int64_t k = std::min(tile.k - p, kThinKc);
      if (by_rows) copy_thin<kManySteps>(tile.thin.at(p, 0), rows, k, x);
      else copy_thin<1>(tile.thin.at(p, 0), rows, k, x);
      // LOOP 1: split the strip into parts of `step` columns.
      for (int64_t j = 0; j < columns; j += step) {
        const StridedOperand<Wide> w = tile.wide.at(p, first + j);
        many_rows(ManyRows<Wide>{w, k, std::min(columns - j, step), rows, x, sums + j * rows});
      }
    }
    if (tile.is_mirrored) {
      for (int64_t j = 0; j < columns; ++j) {
        const float* column = sums + j / kManyColumns * kManyColumns * rows + j % kManyColumns;
        for (int64_t i = 0; i < rows; ++i) row[i] = column[i * kManyColumns];
        tile.finish_column(row, first + j);
      }
    } else {
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t g = 0; g < groups; ++g) {
          std::copy_n(sums + (g * rows + i) * kManyColumns, kManyColumns, row + g * kManyColumns);
        }
        tile.finish_row(row, i, first, columns);
      }
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
