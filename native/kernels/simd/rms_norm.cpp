// rms_norm for the vector sets.
#include "kernels/rms_norm.h"

#include <algorithm>

#include "kernels/simd/quantize_block.h"
#include "kernels/simd/rms_norm_row.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

KernelStatus rms_norm_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<RmsNormParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    rms_norm_row(p.x + row_offset(p.outer, p.x_outer, row), y, p.weight, p.eps, p.columns);
    if (p.blocks) quantize_row(y, p.columns, p.blocks + row * (p.columns / kActivationBlock));
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
