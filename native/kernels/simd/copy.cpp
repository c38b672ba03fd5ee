// copy. The last two dimensions are a matrix. Depending on its strides it is copied by rows, transposed in
// 8 x 8 micro-tiles, or copied element by element.
#include "kernels/copy.h"

#include <algorithm>
#include <type_traits>

#include "kernels/simd/elements.h"
#include "kernels/simd/transpose.h"

namespace tesserae {
namespace {

// A matrix to copy; strides in elements.
struct Matrix {
  int64_t rows;
  int64_t columns;
  int64_t x_row, x_column;
  int64_t y_row, y_column;
};

// Rows per pass of a transposition, so that the partly filled cache lines of y stay in L1 during the pass. No win from
// 16 x 16 blocks, which fill whole lines at once: slower by a fifth to a half at 1024 x 1024.
constexpr int64_t kTransposeRows = 64;
static_assert(kTransposeRows % 8 == 0, "a pass is made of micro-tiles");

template <typename From, typename To>
TESSERAE_INLINE void transpose_8x8(const typename From::Storage* x, int64_t x_column, typename To::Storage* y,
                                   int64_t y_row) {
  F32x8 v[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) v[i] = From::load8(x + i * x_column);
  transpose8(v);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) To::store8(y + i * y_row, v[i]);
}

template <typename From, typename To>
void copy_elements(const typename From::Storage* x, typename To::Storage* y, const Matrix& m) {
  for (int64_t row = 0; row < m.rows; ++row) {
    for (int64_t column = 0; column < m.columns; ++column) {
      const auto* from = x + row * m.x_row + column * m.x_column;
      auto* to = y + row * m.y_row + column * m.y_column;
      if constexpr (std::is_same_v<From, To>) {
        *to = *from;
      } else {
        convert_few<From, To>(from, to, 1);
      }
    }
  }
}

// Transposes a matrix: x has unit stride along rows (x_row is 1), y along columns.
template <typename From, typename To>
void transpose(const typename From::Storage* x, typename To::Storage* y, const Matrix& m) {
  const int64_t full_rows = m.rows / 8 * 8;
  const int64_t full_columns = m.columns / 8 * 8;
  for (int64_t pass = 0; pass < full_rows; pass += kTransposeRows) {
    const int64_t end = std::min(pass + kTransposeRows, full_rows);
    for (int64_t column = 0; column < full_columns; column += 8) {
      for (int64_t row = pass; row < end; row += 8) {
        transpose_8x8<From, To>(x + row + column * m.x_column, m.x_column, y + row * m.y_row + column, m.y_row);
      }
    }
  }
  Matrix right = m;
  right.columns = m.columns - full_columns;
  copy_elements<From, To>(x + full_columns * m.x_column, y + full_columns, right);
  Matrix below = m;
  below.rows = m.rows - full_rows;
  below.columns = full_columns;
  copy_elements<From, To>(x + full_rows, y + full_rows * m.y_row, below);
}

template <typename From, typename To>
void copy_matrix(const typename From::Storage* x, typename To::Storage* y, const Matrix& m) {
  const Matrix turned = {m.columns, m.rows, m.x_column, m.x_row, m.y_column, m.y_row};
  if (m.x_column == 1 && m.y_column == 1) {
    for (int64_t row = 0; row < m.rows; ++row) {
      convert_row<From, To>(x + row * m.x_row, y + row * m.y_row, m.columns);
    }
  } else if (m.x_row == 1 && m.y_row == 1) {
    copy_matrix<From, To>(x, y, turned);
  } else if (m.x_row == 1 && m.y_column == 1) {
    transpose<From, To>(x, y, m);
  } else if (m.x_column == 1 && m.y_row == 1) {
    transpose<From, To>(x, y, turned);
  } else {
    copy_elements<From, To>(x, y, m);
  }
}

// Copies the rows of a tile, as one matrix for each index of the dimensions outside the last two.
template <typename From, typename To>
void copy_tile(const CopyParams& p, int64_t tile) {
  constexpr int kRowDim = kCopyDims - 2;
  const auto* x = static_cast<const typename From::Storage*>(p.x);
  auto* y = static_cast<typename To::Storage*>(p.y);
  int64_t rows = 1;
  for (int dim = 0; dim <= kRowDim; ++dim) rows *= p.size[dim];
  int64_t row = tile * p.tile_rows;
  const int64_t last = std::min(row + p.tile_rows, rows);
  while (row < last) {
    const int64_t start = row % p.size[kRowDim];
    const int64_t count = std::min(p.size[kRowDim] - start, last - row);
    int64_t from = start * p.x_stride[kRowDim];
    int64_t to = start * p.y_stride[kRowDim];
    int64_t rest = row / p.size[kRowDim];
    for (int dim = kRowDim - 1; dim >= 0; --dim) {
      from += rest % p.size[dim] * p.x_stride[dim];
      to += rest % p.size[dim] * p.y_stride[dim];
      rest /= p.size[dim];
    }
    copy_matrix<From, To>(x + from, y + to,
                          {count, p.size[kCopyDims - 1], p.x_stride[kRowDim], p.x_stride[kCopyDims - 1],
                           p.y_stride[kRowDim], p.y_stride[kCopyDims - 1]});
    row += count;
  }
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus copy_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<CopyParams>();
  const auto x_dtype = static_cast<DType>(p.x_dtype);
  const auto y_dtype = static_cast<DType>(p.y_dtype);
  if (x_dtype == DType::f32 && y_dtype == DType::f16) {
    copy_tile<Bits32, Half>(p, tile);
  } else if (x_dtype == DType::f16 && y_dtype == DType::f32) {
    copy_tile<Half, Bits32>(p, tile);
  } else if (x_dtype == DType::f32 && y_dtype == DType::bf16) {
    copy_tile<Bits32, Bfloat>(p, tile);
  } else if (x_dtype == DType::bf16 && y_dtype == DType::f32) {
    copy_tile<Bfloat, Bits32>(p, tile);
  } else if (dtype_bytes(x_dtype) == 2) {
    copy_tile<Bits16, Bits16>(p, tile);
  } else if (x_dtype == DType::i8) {
    copy_tile<Bits8, Bits8>(p, tile);
  } else {
    copy_tile<Bits32, Bits32>(p, tile);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
