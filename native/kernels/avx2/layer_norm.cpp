// layer_norm with AVX2. Sums use 32 accumulators (column mod 32). The second pass also sums the deviations from the
// rounded mean, to correct its rounding error: rows with a large mean keep their precision.
#include "kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/avx2/lanes.h"

namespace tesserae {
namespace {

void layer_norm_row(const float* x, float* y, const LayerNormParams& p) {
  const __m256 zero = _mm256_setzero_ps();
  const double columns = static_cast<double>(p.columns);
  const auto add = [](__m256 a, __m256 b) { return _mm256_add_ps(a, b); };
  const float sum = sum_lanes(reduce_columns8(
      p.columns, zero,
      [&](int64_t column, auto lanes, __m256 sums) { return _mm256_add_ps(sums, lanes.load(x + column)); }, add));
  const __m256 mean = _mm256_set1_ps(static_cast<float>(static_cast<double>(sum) / columns));

  const auto deviation = [&](int64_t column, auto lanes) {
    return lanes.keep(_mm256_sub_ps(lanes.load(x + column), mean), zero);
  };
  const float left = sum_lanes(reduce_columns8(
      p.columns, zero,
      [&](int64_t column, auto lanes, __m256 sums) { return _mm256_add_ps(sums, deviation(column, lanes)); }, add));
  const float squares = sum_lanes(reduce_columns8(
      p.columns, zero,
      [&](int64_t column, auto lanes, __m256 sums) {
        const __m256 d = deviation(column, lanes);
        return _mm256_fmadd_ps(d, d, sums);
      },
      add));
  const double shift = static_cast<double>(left) / columns;
  const double variance = std::max(static_cast<double>(squares) / columns - shift * shift, 0.0);
  const __m256 shifts = _mm256_set1_ps(static_cast<float>(shift));
  const __m256 factor = _mm256_set1_ps(static_cast<float>(1.0 / std::sqrt(variance + p.eps)));

  for_columns8(p.columns, [&](int64_t column, auto lanes) {
    __m256 values = _mm256_mul_ps(_mm256_sub_ps(deviation(column, lanes), shifts), factor);
    if (p.weight) values = _mm256_mul_ps(values, lanes.load(p.weight + column));
    if (p.bias) values = _mm256_add_ps(values, lanes.load(p.bias + column));
    lanes.store(y + column, values);
  });
}

}  // namespace

KernelStatus layer_norm_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<LayerNormParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    layer_norm_row(p.x + row_offset(p.outer, p.x_outer, row), p.y + row_offset(p.outer, p.y_outer, row), p);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
