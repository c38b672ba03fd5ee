// softmax with AVX2. The sum uses 8 accumulators (column mod 8); the quotient is a true division.
#include "kernels/softmax.h"

#include <algorithm>
#include <limits>

#include "kernels/avx2/lanes.h"

namespace tesserae {
namespace {

void softmax_row(const float* x, float* y, int64_t columns) {
  const __m256 lowest = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
  const auto max8 = [](__m256 a, __m256 b) { return _mm256_max_ps(a, b); };
  const __m256 max = _mm256_set1_ps(max_lanes(reduce_columns8(
      columns, lowest,
      [&](int64_t column, auto lanes, __m256 best) {
        return _mm256_max_ps(best, lanes.keep(lanes.load(x + column), lowest));
      },
      max8)));
  // The maximum may be wrong if the row contains a NaN; then the sum, and so the whole row, is NaN anyway.
  __m256 sums = _mm256_setzero_ps();
  for_columns8(columns, [&](int64_t column, auto lanes) {
    const __m256 e = exp8(_mm256_sub_ps(lanes.load(x + column), max));
    lanes.store(y + column, e);
    sums = _mm256_add_ps(sums, lanes.keep(e, _mm256_setzero_ps()));
  });
  const __m256 sum = _mm256_set1_ps(sum_lanes(sums));
  for_columns8(columns, [&](int64_t column, auto lanes) {
    lanes.store(y + column, _mm256_div_ps(lanes.load(y + column), sum));
  });
}

}  // namespace

KernelStatus softmax_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<SoftmaxParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    softmax_row(p.x + row_offset(p.outer, p.x_outer, row), p.y + row_offset(p.outer, p.y_outer, row), p.columns);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
