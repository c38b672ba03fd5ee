// argmax for the vector sets: one pass finds the maximum, a second one its first position.
#include "kernels/argmax.h"

#include <algorithm>
#include <cmath>

#include "kernels/simd/lanes.h"

namespace tesserae {
namespace {

int64_t first_nan(const float* x, int64_t columns) {
  return std::find_if(x, x + columns, [](float value) { return std::isnan(value); }) - x;
}

int64_t first_equal(const float* x, int64_t columns, float wanted) {
  const Floats value = splat<Floats>(wanted);
  int64_t column = 0;
  for (; column + kFloats <= columns; column += kFloats) {
    const int equal = sign_bits(compare_equal(load_vector<Floats>(x + column), value));
    if (equal != 0) return column + __builtin_ctz(static_cast<unsigned>(equal));
  }
  return std::find(x + column, x + columns, wanted) - x;
}

int64_t argmax_row(const float* x, int64_t columns) {
  auto unordered = compare_unordered(splat<Floats>(0), splat<Floats>(0));
  const auto greater = [](auto a, auto b) { return max(a, b); };
  const F32x8 maxima = reduce_columns(
      columns, -INFINITY,
      [&](int64_t column, auto lanes, Floats highest) {
        const Floats values = lanes.load(x + column);
        unordered = bit_or(unordered, compare_unordered(values, values));
        return lanes.keep(greater(values, highest), highest);
      },
      greater);
  if (sign_bits(unordered)) return first_nan(x, columns);
  return first_equal(x, columns, max_lanes(maxima));
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus argmax_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ArgmaxParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const int64_t best = argmax_row(p.x + row_offset(p.outer, p.x_outer, row), p.columns);
    p.y[row_offset(p.outer, p.y_outer, row)] = static_cast<int32_t>(best);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
