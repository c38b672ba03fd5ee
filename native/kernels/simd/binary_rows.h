// The loops of the element-wise kernels with two operands. Included by simd/add.cpp and simd/mul.cpp.
#pragma once

#include <algorithm>

#include "kernels/simd/lanes.h"
#include "kernels/binary.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// A row of an operand: an array of columns, or one value for all columns.
struct ColumnsOfRow {
  const float* data;
  template <typename Lanes>
  TESSERAE_INLINE Floats load(int64_t column, Lanes lanes) const {
    return lanes.load(data + column);
  }
};
struct OneValue {
  Floats value;
  template <typename Lanes>
  TESSERAE_INLINE Floats load(int64_t, Lanes) const {
    return value;
  }
};

template <typename A, typename B, typename Combine>
TESSERAE_INLINE void binary_row(A a, B b, float* y, int64_t columns, Combine combine) {
  for_columns(columns, [&](int64_t column, auto lanes) {
    lanes.store(y + column, combine(a.load(column, lanes), b.load(column, lanes)));
  });
}

template <typename Combine>
TESSERAE_INLINE void binary_tile(const BinaryParams& p, int64_t tile, Combine combine) {
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* a = p.a + row_offset(p.outer, p.a_outer, row);
    const float* b = p.b + row_offset(p.outer, p.b_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    if (p.a_column_step && p.b_column_step) {
      binary_row(ColumnsOfRow{a}, ColumnsOfRow{b}, y, p.columns, combine);
    } else if (p.a_column_step) {
      binary_row(ColumnsOfRow{a}, OneValue{splat<Floats>(*b)}, y, p.columns, combine);
    } else if (p.b_column_step) {
      binary_row(OneValue{splat<Floats>(*a)}, ColumnsOfRow{b}, y, p.columns, combine);
    } else {
      binary_row(OneValue{splat<Floats>(*a)}, OneValue{splat<Floats>(*b)}, y, p.columns, combine);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
