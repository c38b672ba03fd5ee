// layer_norm. Sums use 32 accumulators (column mod 32). The second pass also sums the deviations from the
// rounded mean, to correct its rounding error: rows with a large mean keep their precision.
#include "kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/simd/lanes.h"

namespace tesserae {
namespace {

void layer_norm_row(const float* x, float* y, const LayerNormParams& p) {
  const Floats zero = splat<Floats>(0);
  const double columns = static_cast<double>(p.columns);
  const auto plus = [](auto a, auto b) { return add(a, b); };
  const float sum = sum_lanes(reduce_columns(
      p.columns, 0,
      [&](int64_t column, auto lanes, Floats sums) { return add(sums, lanes.load(x + column)); }, plus));
  const Floats mean = splat<Floats>(static_cast<float>(static_cast<double>(sum) / columns));

  const auto deviation = [&](int64_t column, auto lanes) {
    return lanes.keep(sub(lanes.load(x + column), mean), zero);
  };
  const float left = sum_lanes(reduce_columns(
      p.columns, 0,
      [&](int64_t column, auto lanes, Floats sums) { return add(sums, deviation(column, lanes)); }, plus));
  const float squares = sum_lanes(reduce_columns(
      p.columns, 0,
      [&](int64_t column, auto lanes, Floats sums) {
        const Floats d = deviation(column, lanes);
        return fma(d, d, sums);
      },
      plus));
  const double shift = static_cast<double>(left) / columns;
  const double variance = std::max(static_cast<double>(squares) / columns - shift * shift, 0.0);
  const Floats shifts = splat<Floats>(static_cast<float>(shift));
  const Floats factor = splat<Floats>(static_cast<float>(1.0 / std::sqrt(variance + p.eps)));

  for_columns(p.columns, [&](int64_t column, auto lanes) {
    Floats values = mul(sub(deviation(column, lanes), shifts), factor);
    if (p.weight) values = mul(values, lanes.load(p.weight + column));
    if (p.bias) values = add(values, lanes.load(p.bias + column));
    lanes.store(y + column, values);
  });
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus layer_norm_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<LayerNormParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    layer_norm_row(p.x + row_offset(p.outer, p.x_outer, row), p.y + row_offset(p.outer, p.y_outer, row), p);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
