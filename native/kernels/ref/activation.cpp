// Scalar reference of activation, the oracle of its tests.
#include "kernels/activation.h"

#include <algorithm>

#include "kernels/math_ref.h"

namespace tesserae {

KernelStatus activation_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ActivationParams>();
  const auto kind = static_cast<Activation>(p.kind);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t column = 0; column < p.columns; ++column) {
      y[column] = static_cast<float>(activate_ref(kind, x[column]));
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
