// Scalar reference of rms_norm, the oracle of its tests.
#include "kernels/rms_norm.h"

#include <algorithm>

#include "kernels/ref/quantize_block.h"
#include "kernels/ref/rms_norm_row.h"

namespace tesserae {

KernelStatus rms_norm_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<RmsNormParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    rms_norm_row_ref(x, y, p.weight, p.eps, p.columns);
    if (p.blocks) quantize_row_ref(y, p.columns, p.blocks + row * (p.columns / kActivationBlock));
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
