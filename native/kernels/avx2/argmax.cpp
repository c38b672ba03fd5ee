// argmax with AVX2: each lane keeps the first maximum of its columns; the lanes are compared at the end.
#include "kernels/argmax.h"

#include <immintrin.h>

#include <algorithm>
#include <cmath>

namespace tesserae {
namespace {

int64_t first_nan(const float* x, int64_t columns) {
  return std::find_if(x, x + columns, [](float value) { return std::isnan(value); }) - x;
}

int64_t argmax_row(const float* x, int64_t columns) {
  int64_t best = 0;
  int64_t column = 0;
  if (columns >= 8) {
    __m256 maxima = _mm256_loadu_ps(x);
    __m256i indices = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i current = indices;
    __m256 unordered = _mm256_cmp_ps(maxima, maxima, _CMP_UNORD_Q);
    for (column = 8; column + 8 <= columns; column += 8) {
      current = _mm256_add_epi32(current, _mm256_set1_epi32(8));
      const __m256 values = _mm256_loadu_ps(x + column);
      const __m256 greater = _mm256_cmp_ps(values, maxima, _CMP_GT_OQ);
      unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(values, values, _CMP_UNORD_Q));
      maxima = _mm256_blendv_ps(maxima, values, greater);
      indices = _mm256_blendv_epi8(indices, current, _mm256_castps_si256(greater));
    }
    if (_mm256_movemask_ps(unordered)) return first_nan(x, columns);
    alignas(32) int32_t lane_index[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lane_index), indices);
    best = lane_index[0];
    for (int lane = 1; lane < 8; ++lane) {
      const int64_t index = lane_index[lane];
      if (x[index] > x[best] || (x[index] == x[best] && index < best)) best = index;
    }
  }
  for (; column < columns; ++column) {
    if (std::isnan(x[column])) return first_nan(x, columns);
    if (x[column] > x[best]) best = column;
  }
  return best;
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
