// softmax for the vector sets. The sum uses 8 accumulators (column mod 8); the quotient is a true division.
#include "kernels/softmax.h"

#include <algorithm>
#include <limits>

#include "kernels/simd/lanes.h"

namespace tesserae {
namespace {

void softmax_row(const float* x, float* y, int64_t columns) {
  const F32x8 lowest = f32x8(-std::numeric_limits<float>::infinity());
  const auto max8 = [](F32x8 a, F32x8 b) { return max(a, b); };
  const F32x8 highest = f32x8(max_lanes(reduce_columns8(
      columns, lowest,
      [&](int64_t column, auto lanes, F32x8 best) {
        return max(best, lanes.keep(lanes.load(x + column), lowest));
      },
      max8)));
  // The maximum may be wrong if the row contains a NaN; then the sum, and so the whole row, is NaN anyway.
  F32x8 sums = f32x8(0);
  for_columns8(columns, [&](int64_t column, auto lanes) {
    const F32x8 e = exp8(sub(lanes.load(x + column), highest));
    lanes.store(y + column, e);
    sums = add(sums, lanes.keep(e, f32x8(0)));
  });
  const F32x8 sum = f32x8(sum_lanes(sums));
  for_columns8(columns, [&](int64_t column, auto lanes) {
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
