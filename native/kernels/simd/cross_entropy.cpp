// cross_entropy: maximum and exponentials as in softmax; one logarithm per row, in double precision.
#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/portable_math.h"
#include "kernels/simd/lanes.h"

namespace tesserae {
namespace {

// The logarithm of the C library has other bits on other CPUs.
double log_of_sum(double sum) { return sum < INFINITY ? portable_log(sum) : sum; }  // NaN and infinity stay

// log(sum of exp(x)) - subtrahend.
float log_sum_exp_less(const float* x, int64_t columns, float subtrahend) {
  const Floats lowest = splat<Floats>(-std::numeric_limits<float>::infinity());
  const float highest = max_lanes(reduce_columns(
      columns, -std::numeric_limits<float>::infinity(),
      [&](int64_t column, auto lanes, Floats best) {
        return max(best, lanes.keep(lanes.load(x + column), lowest));
      },
      [](auto a, auto b) { return max(a, b); }));
  const Floats maxima = splat<Floats>(highest);
  const float sum = sum_lanes(reduce_columns(
      columns, 0,
      [&](int64_t column, auto lanes, Floats total) {
        const Floats e = exp_lanes(sub(lanes.load(x + column), maxima));
        return add(total, lanes.keep(e, splat<Floats>(0)));
      },
      [](auto a, auto b) { return add(a, b); }));
  return static_cast<float>(log_of_sum(sum) + (static_cast<double>(highest) - static_cast<double>(subtrahend)));
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus cross_entropy_simd(const OpRecord& op, int64_t tile, Scratch&) {
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

}  // namespace TESSERAE_ISA
}  // namespace tesserae
