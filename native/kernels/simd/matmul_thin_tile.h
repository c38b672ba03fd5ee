// A tile of matmul's thin path. The thin operand has few rows (at most kThinMax); the wide one is read once, in place,
// at the speed of memory. With few rows of A the wide operand is B. With few columns of B (mirrored) it is A, and rows
// and columns exchange their roles; an FMA gives the same bits with its factors exchanged.
#pragma once

#include "kernels/simd/matmul_epilogue.h"
#include "kernels/simd/matmul_vector.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// The thin or the wide operand: element (p, i) is step p of k in row i (thin) or column i (wide).
template <typename Element>
struct StridedOperand {
  const Element* data;  // element (p, i) at data + p · stride_k + i · stride_i
  int64_t stride_k;
  int64_t stride_i;

  StridedOperand at(int64_t p, int64_t i) const { return {data + p * stride_k + i * stride_i, stride_k, stride_i}; }
};

template <typename Thin, typename Wide>
struct ThinTile {
  StridedOperand<Thin> thin;
  int64_t rows;  // of the thin operand
  StridedOperand<Wide> wide;
  int64_t columns;  // of the wide operand
  int64_t k;
  const Epilogue& epilogue;
  int64_t first_row;  // in C
  int64_t first_column;
  bool is_mirrored;

  // Not mirrored: writes the finished sums of thin row i with `count` wide columns.
  void finish_row(const float* sums, int64_t i, int64_t first, int64_t count) const {
    epilogue.row(sums, first_row + i, first_column + first, count);
  }
  // Mirrored: writes the finished sums of all thin rows with wide column j.
  void finish_column(const float* sums, int64_t j) const { epilogue.row(sums, first_row + j, first_column, rows); }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
