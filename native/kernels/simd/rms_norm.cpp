// rms_norm for the vector sets. The squares are summed in 32 accumulators (column mod 32).
#include "kernels/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/simd/lanes.h"
#include "kernels/simd/quantize_block.h"

namespace tesserae {
namespace {

void rms_norm_row(const float* x, float* y, const RmsNormParams& p) {
  const auto plus = [](F32x8 a, F32x8 b) { return add(a, b); };
  const float squares = sum_lanes(reduce_columns8(
      p.columns, f32x8(0),
      [&](int64_t column, auto lanes, F32x8 sums) {
        const F32x8 values = lanes.load(x + column);
        return fma(values, values, sums);
      },
      plus));
  const double mean = static_cast<double>(squares) / static_cast<double>(p.columns);
  const F32x8 factor = f32x8(static_cast<float>(1.0 / std::sqrt(mean + p.eps)));
  for_columns8(p.columns, [&](int64_t column, auto lanes) {
    F32x8 values = mul(lanes.load(x + column), factor);
    if (p.weight) values = mul(values, lanes.load(p.weight + column));
    lanes.store(y + column, values);
  });
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus rms_norm_simd(const OpRecord& op, int64_t tile, Scratch&) {
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

}  // namespace TESSERAE_ISA
}  // namespace tesserae
