// The RMS norm of one row. The squares are summed in 32 accumulators (column mod 32). Included by rms_norm.cpp, by
// quantized_around.h for products whose rows are normed first, and by attention_pages.h for heads.
#pragma once

#include <cmath>

#include "kernels/simd/lanes.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// `weight` may be null; y may be x.
inline void rms_norm_row(const float* x, float* y, const float* weight, double eps, int64_t columns) {
  const auto plus = [](auto a, auto b) { return add(a, b); };
  const float squares = sum_lanes(reduce_columns(
      columns, 0,
      [&](int64_t column, auto lanes, Floats sums) {
        const Floats values = lanes.load(x + column);
        return fma(values, values, sums);
      },
      plus));
  const double mean = static_cast<double>(squares) / static_cast<double>(columns);
  const Floats factor = splat<Floats>(static_cast<float>(1.0 / std::sqrt(mean + eps)));
  for_columns(columns, [&](int64_t column, auto lanes) {
    Floats values = mul(lanes.load(x + column), factor);
    if (weight) values = mul(values, lanes.load(weight + column));
    lanes.store(y + column, values);
  });
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
