// rms_norm with AVX2. The squares are summed in 32 accumulators (column mod 32).
#include "kernels/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/avx2/lanes.h"
#include "kernels/avx2/quantize_block.h"

namespace tesserae {
namespace {

void rms_norm_row(const float* x, float* y, const RmsNormParams& p) {
  const auto add = [](__m256 a, __m256 b) { return _mm256_add_ps(a, b); };
  const float squares = sum_lanes(reduce_columns8(
      p.columns, _mm256_setzero_ps(),
      [&](int64_t column, auto lanes, __m256 sums) {
        const __m256 values = lanes.load(x + column);
        return _mm256_fmadd_ps(values, values, sums);
      },
      add));
  const double mean = static_cast<double>(squares) / static_cast<double>(p.columns);
  const __m256 factor = _mm256_set1_ps(static_cast<float>(1.0 / std::sqrt(mean + p.eps)));
  for_columns8(p.columns, [&](int64_t column, auto lanes) {
    __m256 values = _mm256_mul_ps(lanes.load(x + column), factor);
    if (p.weight) values = _mm256_mul_ps(values, lanes.load(p.weight + column));
    lanes.store(y + column, values);
  });
}

}  // namespace

KernelStatus rms_norm_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<RmsNormParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    rms_norm_row(p.x + row_offset(p.outer, p.x_outer, row), y, p);
    if (p.blocks) quantize_row(y, p.columns, p.blocks + row * (p.columns / kActivationBlock));
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
