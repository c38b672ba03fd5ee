// multiply_panel_rows with vectors of 16 lanes: rows of activations with a panel of four strips, 6 rows x 32 weight
// rows with all sums in registers for the panel's part of k. Included by the AVX-512 quantized kernels.
#pragma once

#include "kernels/avx2/quantized_panel.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

static_assert(kPanelStrips == 4, "the kernels hold two vectors of 16 weight rows");

constexpr int kPanelVectors = 2;
constexpr int64_t kMicroRows = 6;

// Adds the products with a panel to the sums of Rows rows: sums[r · kPanelRows + j]. `x` is the first row's activation
// block at the panel's start.
template <typename K, int Rows>
void multiply_panel(const Panel& panel, int64_t panel_k, const ActivationBlock* x, int64_t x_stride, float* sums) {
  constexpr int kHalves = 32 / K::group;
  const unsigned char* codes = panel.codes;
  const float* scales = panel.scales;
  const float* mins = panel.mins;
  __m512 sum[Rows][kPanelVectors];
#pragma GCC unroll 6
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) sum[r][v] = _mm512_loadu_ps(sums + r * kPanelRows + v * 16);
  }
  for (int64_t b = 0; b < panel_k / kActivationBlock; ++b, ++x) {
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      __m512i dot[Rows][kPanelVectors];
#pragma GCC unroll 6
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < kPanelVectors; ++v) dot[r][v] = _mm512_setzero_si512();
      }
#pragma GCC unroll 8
      for (int q = 0; q < K::quads; ++q) {
        __m512i w[kPanelVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kPanelVectors; ++v) w[v] = _mm512_load_si512(codes + (q * kPanelVectors + v) * 64);
#pragma GCC unroll 6
        for (int r = 0; r < Rows; ++r) {
          int32_t bytes;
          __builtin_memcpy(&bytes, x[r * x_stride].values + half * 16 + q * 4, 4);
          const __m512i quad = _mm512_set1_epi32(bytes);
#pragma GCC unroll 2
          for (int v = 0; v < kPanelVectors; ++v) dot[r][v] = _mm512_dpbusd_epi32(dot[r][v], w[v], quad);
        }
      }
      __m512 scale[kPanelVectors], min[kPanelVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kPanelVectors; ++v) {
        scale[v] = _mm512_load_ps(scales + v * 16);
        if constexpr (K::has_min) min[v] = _mm512_load_ps(mins + v * 16);
      }
#pragma GCC unroll 6
      for (int r = 0; r < Rows; ++r) {
        const ActivationBlock& block = x[r * x_stride];
        const __m512 factor = _mm512_set1_ps(block.scale);
        const __m512i values = _mm512_set1_epi32(K::group == 16 ? block.half_sums[half] : block.sum);
        const __m512i offset = _mm512_slli_epi32(values, K::offset_shift);
#pragma GCC unroll 2
        for (int v = 0; v < kPanelVectors; ++v) {
          const __m512i exact = K::offset_shift > 0 ? _mm512_sub_epi32(dot[r][v], offset) : dot[r][v];
          sum[r][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), _mm512_mul_ps(scale[v], factor), sum[r][v]);
          if constexpr (K::has_min) {
            sum[r][v] = _mm512_fmadd_ps(min[v], _mm512_mul_ps(factor, _mm512_cvtepi32_ps(values)), sum[r][v]);
          }
        }
      }
      codes += K::quads * kQuadBytes<K>;
      scales += kPanelRows;
      mins += kPanelRows;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) _mm512_storeu_ps(sums + r * kPanelRows + v * 16, sum[r][v]);
  }
}

template <typename K>
void multiply_panel_rows(const Panel& panel, int64_t panel_k, const ActivationBlock* x, int64_t x_stride, int64_t rows,
                         float* sums) {
  // LOOP 1: split the rows into groups of kMicroRows.
  for (; rows >= kMicroRows; rows -= kMicroRows, x += kMicroRows * x_stride, sums += kMicroRows * kPanelRows) {
    multiply_panel<K, kMicroRows>(panel, panel_k, x, x_stride, sums);
  }
  switch (rows) {
    case 1: return multiply_panel<K, 1>(panel, panel_k, x, x_stride, sums);
    case 2: return multiply_panel<K, 2>(panel, panel_k, x, x_stride, sums);
    case 3: return multiply_panel<K, 3>(panel, panel_k, x, x_stride, sums);
    case 4: return multiply_panel<K, 4>(panel, panel_k, x, x_stride, sums);
    case 5: return multiply_panel<K, 5>(panel, panel_k, x, x_stride, sums);
    default: return;
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
