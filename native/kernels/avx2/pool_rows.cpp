// pool_rows with AVX2: each lane is a column, so every sum has the order of the reference.
#include "kernels/pool_rows.h"

#include <immintrin.h>

namespace tesserae {
namespace {

constexpr int64_t kVectors = 8;  // sums in registers

// Adds rows to the sums of 4 · vectors columns.
template <int64_t vectors>
inline void add_columns(const float* x, int64_t stride, int64_t rows, double* sums) {
  __m256d totals[vectors];
#pragma GCC unroll 8
  for (int64_t i = 0; i < vectors; ++i) totals[i] = _mm256_loadu_pd(sums + 4 * i);
  for (int64_t row = 0; row < rows; ++row, x += stride) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < vectors; ++i) {
      totals[i] = _mm256_add_pd(totals[i], _mm256_cvtps_pd(_mm_loadu_ps(x + 4 * i)));
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < vectors; ++i) _mm256_storeu_pd(sums + 4 * i, totals[i]);
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
  const __m256d divisors = _mm256_set1_pd(divisor);
  int64_t column = 0;
  for (; column + 4 <= columns; column += 4) {
    _mm_storeu_ps(y + column, _mm256_cvtpd_ps(_mm256_div_pd(_mm256_loadu_pd(sums + column), divisors)));
  }
  for (; column < columns; ++column) y[column] = static_cast<float>(sums[column] / divisor);
}

}  // namespace

KernelStatus pool_rows_avx2(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return pool_items(op.as<PoolRowsParams>(), tile, scratch, add_rows, divide);
}

}  // namespace tesserae
