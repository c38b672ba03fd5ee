// multiply_panel with vectors of 16 lanes: a group of rows of activations with a panel of four strips, 8 rows x 32
// weight rows. Included by the AVX-512 quantized kernels.
#pragma once

#include "kernels/simd/quantized_ordered.h"
#include "kernels/simd/quantized_panel.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

static_assert(kPanelStrips == 4, "the kernels hold two vectors of 16 weight rows");

constexpr int kPanelVectors = 2;
constexpr int kMicroRows = 8;

// Adds the products of `blocks` blocks with a panel to the sums of Rows rows: sums[r · kPanelRows + j]. Each block is
// a step of `ahead`.
template <QuantizedType type, int Rows, typename K = typename Unit<type>::K>
void multiply_panel(const Panel& panel, int64_t blocks, const OrderedBlock<K, Rows>* x, float* sums,
                    Ahead<type>& ahead) {
  constexpr int kHalves = 32 / K::group;
  const unsigned char* codes = panel.codes;
  const float* scales = panel.scales;
  const float* mins = panel.mins;
  for (int64_t b = 0; b < blocks; ++b, ++x) {
    ahead.step();
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      __m512i dot[Rows][kPanelVectors];
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const __m512i start = K::offset_shift > 0 ? _mm512_set1_epi32(x->start(r, half)) : _mm512_setzero_si512();
#pragma GCC unroll 2
        for (int v = 0; v < kPanelVectors; ++v) dot[r][v] = start;
      }
#pragma GCC unroll 8
      for (int q = 0; q < K::quads; ++q) {
        __m512i w[kPanelVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kPanelVectors; ++v) w[v] = _mm512_load_si512(codes + (q * kPanelVectors + v) * 64);
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) {
          const __m512i quad = _mm512_set1_epi32(x->quad(r, half, q));
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
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        const __m512 factor = _mm512_set1_ps(x->scale(r));
#pragma GCC unroll 2
        for (int v = 0; v < kPanelVectors; ++v) {
          float* to = sums + r * kPanelRows + v * 16;
          __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][v]), _mm512_mul_ps(scale[v], factor), _mm512_load_ps(to));
          if constexpr (K::has_min) sum = _mm512_fmadd_ps(min[v], _mm512_set1_ps(x->min_factor(r, half)), sum);
          _mm512_store_ps(to, sum);
        }
      }
      codes += K::quads * kQuadBytes<K>;
      scales += kPanelRows;
      mins += kPanelRows;
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
