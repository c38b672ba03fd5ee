// pool_rows for the vector sets: each lane is a column, so every sum has the order of the reference.
#include "kernels/pool_rows.h"
#include "kernels/vec/vec.h"

namespace tesserae {
namespace {

constexpr int64_t kVectors = 8;  // sums in registers

// Adds rows to the sums of 4 · vectors columns.
template <int64_t vectors>
inline void add_columns(const float* x, int64_t stride, int64_t rows, double* sums) {
  F64x4 totals[vectors];
#pragma GCC unroll 8
  for (int64_t i = 0; i < vectors; ++i) totals[i] = load_f64x4(sums + 4 * i);
  for (int64_t row = 0; row < rows; ++row, x += stride) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < vectors; ++i) {
      totals[i] = add(totals[i], f32_to_f64(load_f32x4(x + 4 * i)));
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < vectors; ++i) store_f64x4(sums + 4 * i, totals[i]);
}

void add_rows(const float* x, int64_t stride, int64_t rows, int64_t columns, double* sums) {
  int64_t column = 0;
  for (; column + 4 * kVectors <= columns; column += 4 * kVectors) {
    add_columns<kVectors>(x + column, stride, rows, sums + column);
  }
  for (; column + 4 <= columns; column += 4) add_columns<1>(x + column, stride, rows, sums + column);
  for (; column < columns; ++column) {
    for (int64_t row = 0; row < rows; ++row) sums[column] += static_cast<double>(x[row * stride + column]);
  }
}

void divide(const double* sums, int64_t columns, double divisor, float* y) {
  const F64x4 divisors = f64x4(divisor);
  int64_t column = 0;
  for (; column + 4 <= columns; column += 4) {
    store_f32x4(y + column, f64_to_f32(div(load_f64x4(sums + column), divisors)));
  }
  for (; column < columns; ++column) y[column] = static_cast<float>(sums[column] / divisor);
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus pool_rows_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return pool_items(op.as<PoolRowsParams>(), tile, scratch, add_rows, divide);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
