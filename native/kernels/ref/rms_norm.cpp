// Scalar reference of rms_norm, the oracle of its tests.
#include "kernels/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/ref/quantize_block.h"

namespace tesserae {

KernelStatus rms_norm_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<RmsNormParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    double squares = 0;
    for (int64_t column = 0; column < p.columns; ++column) {
      squares += static_cast<double>(x[column]) * static_cast<double>(x[column]);
    }
    const float factor = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(p.columns) + p.eps));
    for (int64_t column = 0; column < p.columns; ++column) {
      const float normal = x[column] * factor;
      y[column] = p.weight ? normal * p.weight[column] : normal;
    }
    if (p.blocks) quantize_row_ref(y, p.columns, p.blocks + row * (p.columns / kActivationBlock));
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
