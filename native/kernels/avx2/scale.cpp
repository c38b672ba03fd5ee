// scale with AVX2.
#include "kernels/scale.h"

#include <immintrin.h>

#include <algorithm>

namespace tesserae {

KernelStatus scale_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ScaleParams>();
  const float factor = static_cast<float>(p.factor);
  const __m256 factors = _mm256_set1_ps(factor);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    int64_t column = 0;
    for (; column + 8 <= p.columns; column += 8) {
      _mm256_storeu_ps(y + column, _mm256_mul_ps(_mm256_loadu_ps(x + column), factors));
    }
    for (; column < p.columns; ++column) y[column] = x[column] * factor;
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
