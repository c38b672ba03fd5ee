// silu(gate) · up of one row, and the gated unit of two products. Included by silu_mul.cpp, and by the products.
#pragma once

#include "kernels/simd/lanes.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// y may be gate or up.
inline void silu_mul_row(const float* gate, const float* up, float* y, int64_t columns) {
  for_columns(columns, [&](int64_t column, auto lanes) {
    lanes.store(y + column, mul(silu_lanes(lanes.load(gate + column)), lanes.load(up + column)));
  });
}

// The unit of one row of two products, in the first one: y · up, or silu(y) · up if the first product had no activation.
inline void gated_row(Activation of_first, const float* up, float* y, int64_t columns) {
  if (of_first == Activation::none) {
    silu_mul_row(y, up, y, columns);
    return;
  }
  for_columns(columns, [&](int64_t column, auto lanes) {
    lanes.store(y + column, mul(lanes.load(y + column), lanes.load(up + column)));
  });
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
