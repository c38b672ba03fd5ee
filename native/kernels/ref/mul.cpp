// Scalar reference of mul, the oracle of its tests.
#include "kernels/mul.h"

#include <algorithm>

namespace tesserae {

KernelStatus mul_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<MulParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* a = p.a + row_offset(p.outer, p.a_outer, row);
    const float* b = p.b + row_offset(p.outer, p.b_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t column = 0; column < p.columns; ++column) {
      y[column] = a[column * p.a_column_step] * b[column * p.b_column_step];
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
