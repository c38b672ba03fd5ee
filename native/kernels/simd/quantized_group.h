// Groups of one strip with vectors of 8 lanes: dot_strip_group for one row (quantized_few.h), store_scales and
// store_quads for panels (quantized_panel.h). Included by simd/matmul_quantized.cpp.
#pragma once

#include "kernels/simd/quantized_octets.h"
#include "kernels/simd/quantized_panel.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

template <QuantizedType type, int Rows>
TESSERAE_QUANTIZED_INLINE void dot_strip_group(const Unit<type>& unit, int64_t group,
                                               const ActivationBlock* const (&block)[Rows], int half,
                                               Bits256 (&dot)[Rows][1]) {
  dot_strip_quads(unit, group, block, half, dot);
}

// Stores the scales and minima of a unit: those of group g at g · kPanelRows.
template <QuantizedType type>
TESSERAE_QUANTIZED_INLINE void store_scales(const Unit<type>& unit, float* scales, float* mins) {
  using U = Unit<type>;
  for (int64_t g = 0; g < U::layout.groups; ++g) {
    store_aligned_f32x8(scales + g * kPanelRows, unit.scale(g));
    if constexpr (U::has_min) store_aligned_f32x8(mins + g * kPanelRows, unit.min(g));
  }
}

// Stores the quads of a group of two strips side by side, kQuadBytes apart. Split codes: also the sums of the magnitudes
// of negative codes.
template <QuantizedType type>
TESSERAE_QUANTIZED_INLINE void store_quads(const Unit<type>& first, const Unit<type>& second, int64_t group, int,
                                           unsigned char* codes, int32_t* negatives) {
  using K = typename Unit<type>::K;
  if constexpr (kDot == DotKind::signed_octets) {
#pragma GCC unroll 4
    for (int q = 0; q < K::quads; q += 2, codes += 2 * kQuadBytes<K>) {
      store_octets(first.quad(group, q), first.quad(group, q + 1), reinterpret_cast<Bits256*>(codes));
      store_octets(second.quad(group, q), second.quad(group, q + 1), reinterpret_cast<Bits256*>(codes) + 2);
    }
    return;
  }
  Bits256 negative[2] = {};
#pragma GCC unroll 8
  for (int q = 0; q < K::quads; ++q, codes += kQuadBytes<K>) {
    auto* to = reinterpret_cast<Bits256*>(codes);
    const Bits256 quad[2] = {first.quad(group, q), second.quad(group, q)};
#pragma GCC unroll 2
    for (int s = 0; s < 2; ++s) {
      if constexpr (K::is_split) {
        const Bits256 magnitude = abs_i8(quad[s]);
        const Bits256 mask = greater_i8(i32x8(0), quad[s]);
        const Bits256 pairs = multiply_pairs_u8_i8(bit_and(magnitude, mask), i8x32(1));
        negative[s] = add_i32(negative[s], multiply_pairs_i16(pairs, i16x16(1)));
        store_aligned_bits256(to + 2 * s, magnitude);
        store_aligned_bits256(to + 2 * s + 1, mask);
      } else {
        store_aligned_bits256(to + s, quad[s]);
      }
    }
  }
  if constexpr (K::is_split) {
    store_aligned_bits256(negatives, negative[0]);
    store_aligned_bits256(reinterpret_cast<Bits256*>(negatives) + 1, negative[1]);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
