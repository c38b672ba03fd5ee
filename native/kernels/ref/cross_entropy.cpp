// Scalar reference of cross_entropy, the oracle of its tests.
#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>

namespace tesserae {

KernelStatus cross_entropy_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<CrossEntropyParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    const int64_t target = p.targets[row_offset(p.outer, p.targets_outer, row)];
    if (target < 0 || target >= p.columns) return KernelStatus::index_out_of_range;
    double max = x[0];
    for (int64_t column = 1; column < p.columns; ++column) max = std::max(max, static_cast<double>(x[column]));
    double sum = 0;
    for (int64_t column = 0; column < p.columns; ++column) sum += std::exp(x[column] - max);
    p.y[row_offset(p.outer, p.y_outer, row)] = static_cast<float>(std::log(sum) + (max - x[target]));
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
