// Scalar reference of argmax, the oracle of its tests.
#include "kernels/argmax.h"

#include <algorithm>
#include <cmath>

namespace tesserae {

KernelStatus argmax_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ArgmaxParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    int64_t best = 0;
    for (int64_t column = 1; column < p.columns && !std::isnan(x[best]); ++column) {
      if (x[column] > x[best] || std::isnan(x[column])) best = column;
    }
    p.y[row_offset(p.outer, p.y_outer, row)] = static_cast<int32_t>(best);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
