// softmax for the vector sets. The sum uses 8 accumulators (column mod 8); the quotient is a true division.
#include "kernels/softmax.h"

#include <algorithm>
#include <limits>

#include "kernels/simd/lanes.h"

namespace tesserae {
namespace {

void softmax_row(const float* x, float* y, int64_t columns) {
  const Floats lowest = splat<Floats>(-std::numeric_limits<float>::infinity());
  const auto greater = [](auto a, auto b) { return max(a, b); };
  const Floats highest = splat<Floats>(max_lanes(reduce_columns(
      columns, -std::numeric_limits<float>::infinity(),
      [&](int64_t column, auto lanes, Floats best) {
        return max(best, lanes.keep(lanes.load(x + column), lowest));
      },
      greater)));
  // The maximum may be wrong if the row contains a NaN; then the sum, and so the whole row, is NaN anyway.
  F32x8 sums = f32x8(0);
  for_columns(columns, [&](int64_t column, auto lanes) {
    const Floats e = exp_lanes(sub(lanes.load(x + column), highest));
    lanes.store(y + column, e);
    sums = add_columns(sums, lanes.keep(e, splat<Floats>(0)));
  });
  const Floats sum = splat<Floats>(sum_lanes(sums));
  for_columns(columns, [&](int64_t column, auto lanes) {
    lanes.store(y + column, div(lanes.load(y + column), sum));
  });
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus softmax_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<SoftmaxParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    softmax_row(p.x + row_offset(p.outer, p.x_outer, row), p.y + row_offset(p.outer, p.y_outer, row), p.columns);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
