// rope for the vector sets. The factors of a token are kept in scratch.
#include <algorithm>
#include <cassert>

#include "kernels/simd/rotate.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

KernelStatus rope_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<RopeParams>();
  const int64_t padded = RotationFactors::padded(p.rotation);
  float* cosines = reinterpret_cast<float*>(scratch.data);
  const RotationFactors factors = {p.rotation, cosines, cosines + padded};
  assert(2 * static_cast<size_t>(padded) * sizeof(float) <= scratch.size_bytes);
  const int64_t heads = p.outer.size[3];
  const int64_t first = tile * p.tile_tokens;
  const int64_t last = std::min(first + p.tile_tokens, p.outer.rows() / heads);
  for (int64_t token = first; token < last; ++token) {
    const int64_t row = token * heads;
    factors.move_to(p.positions[row_offset(p.outer, p.positions_outer, row)]);
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t head = 0; head < heads; ++head, x += p.x_outer.stride[3], y += p.y_outer.stride[3]) {
      factors.turn(x, y, p.dim);
    }
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
