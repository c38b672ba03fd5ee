// silu_mul for the vector sets.
#include "kernels/silu_mul.h"

#include <algorithm>

#include "kernels/simd/quantize_block.h"
#include "kernels/simd/silu_mul_row.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus silu_mul_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<SiluMulParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* gate = p.gate + row_offset(p.outer, p.gate_outer, row);
    const float* up = p.up + row_offset(p.outer, p.up_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    silu_mul_row(gate, up, y, p.columns);
    if (p.blocks) quantize_row(y, p.columns, p.blocks + row * (p.columns / kActivationBlock));
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
