// Scalar reference of layer_norm, the oracle of its tests.
#include "kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

namespace tesserae {

KernelStatus layer_norm_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<LayerNormParams>();
  const double columns = static_cast<double>(p.columns);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    double sum = 0;
    for (int64_t column = 0; column < p.columns; ++column) sum += x[column];
    const double mean = sum / columns;
    double squares = 0;
    for (int64_t column = 0; column < p.columns; ++column) squares += (x[column] - mean) * (x[column] - mean);
    const double factor = 1.0 / std::sqrt(squares / columns + p.eps);
    for (int64_t column = 0; column < p.columns; ++column) {
      double value = (x[column] - mean) * factor;
      if (p.weight) value *= p.weight[column];
      if (p.bias) value += p.bias[column];
      y[column] = static_cast<float>(value);
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
