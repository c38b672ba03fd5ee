// cross_entropy with AVX2: maximum and exponentials as in softmax; one logarithm per row, in double precision.
#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/avx2/lanes.h"

namespace tesserae {
namespace {

// log(sum of exp(x)) - subtrahend.
float log_sum_exp_less(const float* x, int64_t columns, float subtrahend) {
  const __m256 lowest = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
  const float max = max_lanes(reduce_columns8(
      columns, lowest,
      [&](int64_t column, auto lanes, __m256 best) {
        return _mm256_max_ps(best, lanes.keep(lanes.load(x + column), lowest));
      },
      [](__m256 a, __m256 b) { return _mm256_max_ps(a, b); }));
  const __m256 maxima = _mm256_set1_ps(max);
  const float sum = sum_lanes(reduce_columns8(
      columns, _mm256_setzero_ps(),
      [&](int64_t column, auto lanes, __m256 total) {
        const __m256 e = exp8(_mm256_sub_ps(lanes.load(x + column), maxima));
        return _mm256_add_ps(total, lanes.keep(e, _mm256_setzero_ps()));
      },
      [](__m256 a, __m256 b) { return _mm256_add_ps(a, b); }));
  return static_cast<float>(std::log(static_cast<double>(sum)) +
                            (static_cast<double>(max) - static_cast<double>(subtrahend)));
}

}  // namespace

KernelStatus cross_entropy_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<CrossEntropyParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    const int64_t target = p.targets[row_offset(p.outer, p.targets_outer, row)];
    if (target < 0 || target >= p.columns) return KernelStatus::index_out_of_range;
    p.y[row_offset(p.outer, p.y_outer, row)] = log_sum_exp_less(x, p.columns, x[target]);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
