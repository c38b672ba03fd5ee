// scale for the vector sets.
#include "kernels/scale.h"
#include "kernels/vec/vec.h"

#include <algorithm>

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus scale_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ScaleParams>();
  const float factor = static_cast<float>(p.factor);
  const F32x8 factors = f32x8(factor);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    int64_t column = 0;
    for (; column + 8 <= p.columns; column += 8) {
      store_f32x8(y + column, mul(load_f32x8(x + column), factors));
    }
    for (; column < p.columns; ++column) y[column] = x[column] * factor;
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
