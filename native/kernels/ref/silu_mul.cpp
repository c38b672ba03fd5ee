// Scalar reference of silu_mul, the oracle of its tests.
#include "kernels/silu_mul.h"

#include <algorithm>

#include "kernels/math_ref.h"
#include "kernels/ref/quantize_block.h"

namespace tesserae {

KernelStatus silu_mul_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<SiluMulParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* gate = p.gate + row_offset(p.outer, p.gate_outer, row);
    const float* up = p.up + row_offset(p.outer, p.up_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t column = 0; column < p.columns; ++column) {
      y[column] = static_cast<float>(silu_ref(gate[column])) * up[column];
    }
    if (p.blocks) quantize_row_ref(y, p.columns, p.blocks + row * (p.columns / kActivationBlock));
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
