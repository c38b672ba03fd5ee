// Scalar reference of rope, the oracle of its tests.
#include <algorithm>

#include "kernels/ref/rotate.h"

namespace tesserae {

KernelStatus rope_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<RopeParams>();
  const int64_t heads = p.outer.size[3];
  const int64_t first = tile * p.tile_tokens * heads;
  const int64_t last = std::min(first + p.tile_tokens * heads, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const double position = p.positions[row_offset(p.outer, p.positions_outer, row - row % heads)];
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    rotate_ref(p.rotation, position, x, p.y + row_offset(p.outer, p.y_outer, row), p.dim);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
