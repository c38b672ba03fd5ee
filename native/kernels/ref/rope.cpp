// Scalar reference of rope, the oracle of its tests.
#include "kernels/rope.h"

#include <algorithm>
#include <cmath>

namespace tesserae {

KernelStatus rope_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<RopeParams>();
  const int64_t heads = p.outer.size[3];
  const int64_t pairs = p.rotary_dim / 2;
  const bool interleaved = p.style == static_cast<int64_t>(RopeStyle::interleaved);
  const int64_t first = tile * p.tile_tokens * heads;
  const int64_t last = std::min(first + p.tile_tokens * heads, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    const double position = p.positions[row_offset(p.outer, p.positions_outer, row - row % heads)];
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const double angle = position * static_cast<double>(p.inverse_frequencies[pair]);
      const float cosine = static_cast<float>(std::cos(angle) * p.magnitude);
      const float sine = static_cast<float>(std::sin(angle) * p.magnitude);
      const int64_t i = interleaved ? 2 * pair : pair;
      const int64_t j = interleaved ? 2 * pair + 1 : pair + pairs;
      const float a = x[i];
      const float b = x[j];
      y[i] = a * cosine - b * sine;
      y[j] = b * cosine + a * sine;
    }
    for (int64_t column = p.rotary_dim; column < p.dim; ++column) y[column] = x[column];
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
