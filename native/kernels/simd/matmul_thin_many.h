// The thin path along rows of the wide operand, and along columns with more than kThinFew rows of the thin one: the
// sums are kept in L1 while the wide operand is read once, a few steps of k at a time in registers. Included by
// matmul_thin_loops.h; the instruction set passes its sums (Sums).
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

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

// Adds up to 16 columns from step p of k on, for any strides: copies squares of 16 × 16 element by element. Also used
// for the remaining steps of columns whose k is contiguous.
template <typename Sums, typename Element>
void many_by_elements(const ManyRows<Element>& s, int64_t first_column, int64_t columns, int64_t p) {
  alignas(64) float square[kManySteps * kManyColumns] = {};
  for (; p < s.k; p += kManySteps) {
    const int64_t steps = std::min(s.k - p, kManySteps);
    for (int64_t j = 0; j < columns; ++j) {
      const Element* from = s.w.at(p, first_column + j).data;
      for (int64_t q = 0; q < steps; ++q) square[q * kManyColumns + j] = load1(from + q * s.w.stride_k);
    }
    Sums::add_square(square, steps, s.rows, s.x + p * s.rows, s.sums + first_column * s.rows);
  }
}

// Adds one block of k of one strip of columns.
template <typename Sums, typename Element>
void many_rows(const ManyRows<Element>& s) {
  if (s.w.stride_i == 1) {
    Sums::many_by_rows(s);
  } else if (s.w.stride_k == 1) {
    Sums::many_by_columns(s);
  } else {
    for (int64_t j = 0; j < s.columns; j += kManyColumns) {
      many_by_elements<Sums>(s, j, std::min(s.columns - j, kManyColumns), 0);
    }
  }
}

template <typename Sums, typename Thin, typename Wide>
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
        many_rows<Sums>(ManyRows<Wide>{w, k, std::min(columns - j, step), rows, x, sums + j * rows});
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
