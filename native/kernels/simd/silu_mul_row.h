// silu(gate) · up of one row. Included by silu_mul.cpp, and by the products that make gated units.
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

}  // namespace TESSERAE_ISA
}  // namespace tesserae
