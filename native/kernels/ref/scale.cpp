// Scalar reference of scale, the oracle of its tests.
#include "kernels/scale.h"

#include <algorithm>

namespace tesserae {

KernelStatus scale_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ScaleParams>();
  const float factor = static_cast<float>(p.factor);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t column = 0; column < p.columns; ++column) y[column] = x[column] * factor;
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
