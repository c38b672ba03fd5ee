// multiply_panel with vectors of 8 lanes: a group of rows of activations with a panel of two strips, 4 rows x 16 weight
// rows. Included by simd/matmul_quantized.cpp.
#pragma once

#include "kernels/simd/quantized_octets.h"
#include "kernels/simd/quantized_panel.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

static_assert(kPanelStrips == 2, "the kernels hold two vectors of 8 weight rows");

constexpr int kMicroRows = 4;

// Adds the products of `blocks` blocks with a panel to the sums of Rows rows: sums[r · kPanelRows + j]. Each block is
// a step of `ahead`.
template <QuantizedType type, int Rows, typename K = typename Unit<type>::K>
void multiply_panel(const Panel& panel, int64_t blocks, const OrderedBlock<K, Rows>* x, float* sums,
                    Ahead<type>& ahead) {
  constexpr int kHalves = 32 / K::group;
  const unsigned char* codes = panel.codes;
  const float* scales = panel.scales;
  const float* mins = panel.mins;
  const int32_t* negatives = panel.negatives;
  for (int64_t b = 0; b < blocks; ++b, ++x) {
    ahead.step();
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      Bits256 dot[Rows][2];
      const auto start = [&](int row) __attribute__((always_inline)) { return K::offset_shift > 0 ? x->start(row, half) : 0; };
      const auto quad = [&](int row, int q) __attribute__((always_inline)) {
        return i32x8(x->quad(row, half, q));
      };
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        if constexpr (K::is_split) {
          dot[r][0] = load_vector(negatives), dot[r][1] = load_vector(negatives + 8);
        } else {
          dot[r][0] = dot[r][1] = i32x8(start(r));
        }
      }
      if constexpr (kDot == DotKind::signed_octets) {
        const auto octet = [&](int row, int q) __attribute__((always_inline)) { return x->octet(row, half, q); };
        dot_octet_group<K, Rows>(start, octet, codes, dot);
      } else if constexpr (K::is_split) {
        dot_split_group<K, Rows>(quad, [&](int q, int s, int plane) __attribute__((always_inline)) {
          return load_vector(codes + (q * 4 + s * 2 + plane) * 32);
        }, dot);
      } else {
        dot_group<K, Rows, 2>(quad, [&](int q, int s) __attribute__((always_inline)) {
          return load_vector(codes + (q * 2 + s) * 32);
        }, dot);
      }
      const F32x8 scale[2] = {load_aligned_f32x8(scales), load_aligned_f32x8(scales + 8)};
      F32x8 min[2] = {};
      if constexpr (K::has_min) min[0] = load_aligned_f32x8(mins), min[1] = load_aligned_f32x8(mins + 8);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const F32x8 factor = f32x8(x->scale(r));
#pragma GCC unroll 2
        for (int s = 0; s < 2; ++s) {
          float* to = sums + r * kPanelRows + s * 8;
          F32x8 sum = fma(i32_to_f32(dot[r][s]), mul(scale[s], factor), load_aligned_f32x8(to));
          if constexpr (K::has_min) sum = fma(min[s], f32x8(x->min_factor(r, half)), sum);
          store_aligned_f32x8(to, sum);
        }
      }
      codes += K::quads * kQuadBytes<K>;
      scales += kPanelRows;
      mins += kPanelRows;
      negatives += kPanelRows;
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
