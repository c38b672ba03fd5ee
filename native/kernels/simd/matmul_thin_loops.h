// The loops of matmul's thin path. With up to kThinFew rows along columns the sums are kept in registers
// (matmul_thin_columns.h), else in L1 (matmul_thin_many.h). Included by matmul_thin.cpp.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/simd/matmul_thin_columns.h"
#include "kernels/simd/matmul_thin_many.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// A table of sum_columns<T>.
template <typename Element>
struct SumStrips {
  void (*of[kThinFew + 1])(const Strip<Element>& strip);
};
template <typename Element, int... T>
constexpr SumStrips<Element> sum_strips(std::integer_sequence<int, T...>) {
  return {{nullptr, sum_columns<T + 1, Element>...}};
}
template <typename Element>
constexpr SumStrips<Element> kSumStrip = sum_strips<Element>(std::make_integer_sequence<int, kThinFew>());

template <typename Thin, typename Wide>
void thin_tile_few(const ThinTile<Thin, Wide>& tile, float* scratch) {
  const int64_t rows = tile.rows;
  float* sums = scratch;
  float* x = sums + kThinFew * kSumsStride;
  Strip<Wide> strip = {nullptr, tile.wide.stride_i, 0, 0, x, sums};
  // LOOP 2: split the wide operand's columns into strips whose sums fit into half of L1.
  const int64_t step = std::min(kThinStrip, kThinSums / rows / 16 * 16);
  for (int64_t j = 0; j < tile.columns; j += step) {
    strip.columns = std::min(tile.columns - j, step);
    std::fill(sums, sums + rows * kSumsStride, 0.0f);
    // LOOP 1: split k into blocks of kThinKc; the thin operand's block stays in L1 or L2. Sequential: each block
    // continues the sums.
    for (int64_t first_k = 0; first_k < tile.k; first_k += kThinKc) {
      strip.k = std::min(tile.k - first_k, kThinKc);
      strip.w = tile.wide.at(first_k, j).data;
      copy_thin<1>(tile.thin.at(first_k, 0), rows, strip.k, x);
      kSumStrip<Wide>.of[rows](strip);
    }
    if (tile.is_mirrored) {
      for (int64_t r = 0; r < strip.columns; ++r) {
        float column[kThinFew] = {};
        for (int64_t i = 0; i < rows; ++i) column[i] = sums[i * kSumsStride + r];
        tile.finish_column(column, j + r);
      }
    } else {
      for (int64_t i = 0; i < rows; ++i) tile.finish_row(sums + i * kSumsStride, i, j, strip.columns);
    }
  }
}

template <typename Thin, typename Wide>
void thin_tile(const ThinTile<Thin, Wide>& tile, float* scratch) {
  // Sums are kept in registers only along columns.
  if (tile.rows <= kThinFew && tile.wide.stride_k == 1 && tile.wide.stride_i != 1) thin_tile_few(tile, scratch);
  else thin_tile_many(tile, scratch);
}

// Computes a tile of a product whose B has elements of type Element.
template <typename Element>
void thin_tile_of(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const Epilogue epilogue(p, x);
  const int64_t rows = tile.last_row - tile.first_row;
  const int64_t columns = tile.last_column - tile.first_column;
  const float* a_data = x.a + tile.first_row * p.a_rs;
  const Element* b_data = static_cast<const Element*>(x.b) + tile.first_column * p.b_cs;
  const StridedOperand<float> a = {a_data, p.a_cs, p.a_rs};
  const StridedOperand<Element> b = {b_data, p.b_rs, p.b_cs};
  if (p.m <= p.n) {
    thin_tile(ThinTile<float, Element>{a, rows, b, columns, p.k, epilogue, tile.first_row, tile.first_column, false},
              scratch);
  } else {
    thin_tile(ThinTile<Element, float>{b, columns, a, rows, p.k, epilogue, tile.first_row, tile.first_column, true},
              scratch);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
