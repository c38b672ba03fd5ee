// multiply_panel_rows with vectors of 8 lanes: rows of activations with a panel of two strips. Included by the AVX2 and
// AVX-VNNI quantized kernels.
#pragma once

#include "kernels/avx2/quantized_panel.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

static_assert(kPanelStrips == 2, "the kernels hold two vectors of 8 weight rows");

// Adds the products with a panel to the sums of Rows rows: sums[r · kPanelRows + j]. `x` is the first row's activation
// block at the panel's start.
template <typename K, int Rows>
void multiply_panel(const Panel& panel, int64_t panel_k, const ActivationBlock* x, int64_t x_stride, float* sums) {
  constexpr int kHalves = 32 / K::group;
  const unsigned char* codes = panel.codes;
  const float* scales = panel.scales;
  const float* mins = panel.mins;
  const int32_t* negatives = panel.negatives;
  for (int64_t b = 0; b < panel_k / kActivationBlock; ++b) {
    const ActivationBlock* block[Rows];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) block[r] = x + r * x_stride + b;
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      __m256i dot[Rows][2];
      if constexpr (K::is_split) {
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) dot[r][0] = load_vector(negatives), dot[r][1] = load_vector(negatives + 8);
        dot_split_group<K, Rows>(block, half, [&](int q, int s, int plane) __attribute__((always_inline)) {
          return load_vector(codes + (q * 4 + s * 2 + plane) * 32);
        }, dot);
      } else {
        dot_group<K, Rows, 2>(block, half, [&](int q, int s) __attribute__((always_inline)) {
          return load_vector(codes + (q * 2 + s) * 32);
        }, dot);
      }
      const __m256 scale[2] = {_mm256_load_ps(scales), _mm256_load_ps(scales + 8)};
      __m256 min[2] = {};
      if constexpr (K::has_min) min[0] = _mm256_load_ps(mins), min[1] = _mm256_load_ps(mins + 8);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        float* to = sums + r * kPanelRows;
        __m256 sum[2] = {_mm256_loadu_ps(to), _mm256_loadu_ps(to + 8)};
        add_group<K, 2>(*block[r], half, dot[r], scale, min, sum);
        _mm256_storeu_ps(to, sum[0]);
        _mm256_storeu_ps(to + 8, sum[1]);
      }
      codes += K::quads * 64 * (K::is_split ? 2 : 1);
      scales += kPanelRows;
      mins += kPanelRows;
      negatives += kPanelRows;
    }
  }
}

template <typename K>
void multiply_panel_rows(const Panel& panel, int64_t panel_k, const ActivationBlock* x, int64_t x_stride, int64_t rows,
                         float* sums) {
  // LOOP 1: split the rows into groups of four.
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) multiply_panel<K, 4>(panel, panel_k, x + r * x_stride, x_stride, sums + r * kPanelRows);
  x += r * x_stride;
  sums += r * kPanelRows;
  switch (rows - r) {
    case 1: return multiply_panel<K, 1>(panel, panel_k, x, x_stride, sums);
    case 2: return multiply_panel<K, 2>(panel, panel_k, x, x_stride, sums);
    case 3: return multiply_panel<K, 3>(panel, panel_k, x, x_stride, sums);
    default: return;
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
