// Scalar reference of softmax, the oracle of its tests.
#include "kernels/softmax.h"

#include <algorithm>
#include <cmath>

namespace tesserae {

KernelStatus softmax_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<SoftmaxParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    float max = x[0];
    for (int64_t column = 1; column < p.columns; ++column) max = std::max(max, x[column]);
    double sum = 0;
    for (int64_t column = 0; column < p.columns; ++column) {
      y[column] = std::exp(x[column] - max);
      sum += static_cast<double>(y[column]);
    }
    for (int64_t column = 0; column < p.columns; ++column) y[column] = static_cast<float>(y[column] / sum);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
