// argmax with AVX2: one pass finds the maximum, a second one its first position.
#include "kernels/argmax.h"

#include <algorithm>
#include <cmath>

#include "kernels/avx2/lanes.h"

namespace tesserae {
namespace {

int64_t first_nan(const float* x, int64_t columns) {
  return std::find_if(x, x + columns, [](float value) { return std::isnan(value); }) - x;
}

int64_t first_equal(const float* x, int64_t columns, float wanted) {
  const __m256 value = _mm256_set1_ps(wanted);
  int64_t column = 0;
  for (; column + 8 <= columns; column += 8) {
    const int equal = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + column), value, _CMP_EQ_OQ));
    if (equal != 0) return column + __builtin_ctz(static_cast<unsigned>(equal));
  }
  return std::find(x + column, x + columns, wanted) - x;
}

int64_t argmax_row(const float* x, int64_t columns) {
  __m256 unordered = _mm256_setzero_ps();
  const auto greater = [](__m256 a, __m256 b) { return _mm256_max_ps(a, b); };
  const __m256 maxima = reduce_columns8(
      columns, _mm256_set1_ps(-INFINITY),
      [&](int64_t column, auto lanes, __m256 highest) {
        const __m256 values = lanes.load(x + column);
        unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(values, values, _CMP_UNORD_Q));
        return lanes.keep(greater(values, highest), highest);
      },
      greater);
  if (_mm256_movemask_ps(unordered)) return first_nan(x, columns);
  return first_equal(x, columns, max_lanes(maxima));
}

}  // namespace

KernelStatus argmax_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ArgmaxParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const int64_t best = argmax_row(p.x + row_offset(p.outer, p.x_outer, row), p.columns);
    p.y[row_offset(p.outer, p.y_outer, row)] = static_cast<int32_t>(best);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
