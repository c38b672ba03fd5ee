// Groups of one strip with vectors of 16 lanes: dot_strip_group for one row (simd/quantized_few.h), store_scales and
// store_quads for panels (simd/quantized_panel.h). A vector is two consecutive quads of the 8 rows of weights. Included by
// the AVX-512 quantized kernels.
#pragma once

#include "kernels/simd/quantized_panel.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// Rotates each 32-bit lane to the left: those of the lower half by `first`, those of the upper half by `second`.
TESSERAE_QUANTIZED_INLINE __m512i turned(__m512i bits, int first, int second) {
  const __m512i turns = _mm512_inserti64x4(_mm512_set1_epi32(first & 31), _mm256_set1_epi32(second & 31), 1);
  return _mm512_rolv_epi32(bits, turns);
}

TESSERAE_QUANTIZED_INLINE __m512i twice(const unsigned char* vector) {
  return _mm512_broadcast_i64x4(load_vector(vector));
}

// low | (high & mask)
TESSERAE_QUANTIZED_INLINE __m512i with_high(__m512i low, __m512i high, char mask) {
  return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi8(mask), 0xf8);
}

// Quads 2i and 2i + 1 of a group, biased if K::is_biased.
template <QuantizedType type>
TESSERAE_QUANTIZED_INLINE __m512i quad_pair(const Unit<type>& unit, int64_t group, int i) {
  using U = Unit<type>;
  constexpr int bits = U::format.bits;
  const unsigned char* codes = unit.data + group_place(U::layout, group);
  const unsigned char* high_codes = unit.data + high_place(U::layout, group);
  if constexpr (bits == 8) return _mm512_xor_si512(_mm512_loadu_si512(codes + i * 64), _mm512_set1_epi8(-128));
  if constexpr (bits < 4) {
    const __m512i low = _mm512_and_si512(turned(twice(codes), -4 * i, -4 * i - 2), _mm512_set1_epi8(3));
    if constexpr (bits == 2) return low;
    const int at = static_cast<int>(group % U::layout.together) * 4 + 2 * i;
    return with_high(low, turned(twice(high_codes), 2 - at, 1 - at), 4);
  }
  constexpr int pairs = U::K::quads / 4;  // in the lower nibbles
  __m512i packed = _mm512_loadu_si512(codes + i % pairs * 64);
  if (i >= pairs) packed = _mm512_srli_epi16(packed, 4);
  const __m512i low = _mm512_and_si512(packed, _mm512_set1_epi8(15));
  if constexpr (U::format.is_lookup) {
    const __m128i levels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Codes));
    const __m128i above = _mm_xor_si128(levels, _mm_set1_epi8(-128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(above), low);
  }
  if constexpr (bits == 4) return low;
  constexpr int width = bits - 4;
  return with_high(low, turned(twice(high_codes), 4 - 2 * i * width, 4 - (2 * i + 1) * width), bits == 6 ? 48 : 16);
}

// dot[r] receives the exact sums of row r with the 8 rows of weights. For groups of 16, `half` is the half of the activation
// block. One row: the halves of the vectors' sums are added. Several rows, which only a CPU with a small L1 has here: vectors of
// 8 lanes, whose activations need no shuffle; Zen 4 runs two of them at once.
template <QuantizedType type, int Rows>
TESSERAE_QUANTIZED_INLINE void dot_strip_group(const Unit<type>& unit, int64_t group,
                                               const ActivationBlock* const (&block)[Rows], int half,
                                               __m256i (&dot)[Rows][1]) {
  using K = typename Unit<type>::K;
  if constexpr (Rows > 1) return dot_strip_quads(unit, group, block, half, dot);
  __m512i sum[Rows];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) sum[r] = _mm512_setzero_si512();
#pragma GCC unroll 4
  for (int i = 0; i < K::quads / 2; ++i) {
    const __m512i w = quad_pair(unit, group, i);
    const int quad = half * K::quads + 2 * i;
    const __m512i places = _mm512_inserti64x4(_mm512_set1_epi32(quad), _mm256_set1_epi32(quad + 1), 1);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const __m512i values = _mm512_castsi256_si512(load_vector(block[r]->values));
      sum[r] = _mm512_dpbusd_epi32(sum[r], w, _mm512_permutexvar_epi32(places, values));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
    dot[r][0] = _mm256_add_epi32(_mm512_castsi512_si256(sum[r]), _mm512_extracti64x4_epi64(sum[r], 1));
  }
}

// Stores the lower half at `to`, the upper half at `above`.
TESSERAE_QUANTIZED_INLINE void store_halves(void* to, void* above, __m512i v) {
  _mm256_store_si256(static_cast<__m256i*>(to), _mm512_castsi512_si256(v));
  _mm256_store_si256(static_cast<__m256i*>(above), _mm512_extracti64x4_epi64(v, 1));
}

// Stores the scales and minima of a unit: those of group g at g · kPanelRows.
template <QuantizedType type>
TESSERAE_QUANTIZED_INLINE void store_scales(const Unit<type>& unit, float* scales, float* mins) {
  using U = Unit<type>;
  if constexpr (!U::layout.has_sub_scales) {
    _mm256_store_ps(scales, unit.d);
    if constexpr (U::has_min) _mm256_store_ps(mins, unit.dmin);
    return;
  }
  // Two groups at a time; the products are those of Unit::scale and Unit::min.
  const auto store_two = [](__m256 d, __m512i subs, float* to) __attribute__((always_inline)) {
    const __m512 twice_d = _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_castps_pd(d)));
    const __m512 product = _mm512_mul_ps(twice_d, _mm512_cvtepi32_ps(subs));
    store_halves(to, to + kPanelRows, _mm512_castps_si512(product));
  };
  const auto* sub_scales = reinterpret_cast<const __m128i*>(unit.data + U::layout.sub_scales);
  const auto* sub_mins = reinterpret_cast<const __m128i*>(unit.data + U::layout.sub_mins);
#pragma GCC unroll 8
  for (int64_t g = 0; g < U::layout.groups; g += 2, scales += 2 * kPanelRows, mins += 2 * kPanelRows) {
    const __m512i joint = _mm512_cvtepu8_epi32(_mm_loadu_si128(sub_scales + g / 2));
    if constexpr (U::layout.has_joint_subs) {
      store_two(unit.d, _mm512_and_si512(joint, _mm512_set1_epi32(15)), scales);
      store_two(unit.dmin, _mm512_srli_epi32(joint, 4), mins);
    } else {
      store_two(unit.d, _mm512_cvtepi8_epi32(_mm_loadu_si128(sub_scales + g / 2)), scales);
      if constexpr (U::has_min) store_two(unit.dmin, _mm512_cvtepu8_epi32(_mm_loadu_si128(sub_mins + g / 2)), mins);
    }
  }
}

// The vectors of two strips side by side.
TESSERAE_QUANTIZED_INLINE __m512i side_by_side(const unsigned char* first, const unsigned char* second) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(load_vector(first)), load_vector(second), 1);
}

// Moves the bits of each byte to the left by `places`, or to the right if negative; bits of neighbours come in.
TESSERAE_QUANTIZED_INLINE __m512i shifted(__m512i bits, int places) {
  if (places == 0) return bits;
  return places > 0 ? _mm512_slli_epi16(bits, static_cast<unsigned>(places))
                    : _mm512_srli_epi16(bits, static_cast<unsigned>(-places));
}

// Stores the quads of a group of two strips side by side, kQuadBytes apart. For groups of 16, `half` is the half of the
// activation block.
template <QuantizedType type>
TESSERAE_QUANTIZED_INLINE void store_quads(const Unit<type>& first, const Unit<type>& second, int64_t group, int half,
                                           unsigned char* codes, int32_t*) {
  using U = Unit<type>;
  using K = typename U::K;
  if constexpr (U::format.bits < 4) {
    // One vector of each strip has all quads of the group.
    const int64_t place = group_place(U::layout, group), high_at = high_place(U::layout, group);
    const __m512i packed = side_by_side(first.data + place, second.data + place);
    const __m512i high = side_by_side(first.data + high_at, second.data + high_at);
    const int first_bit = U::layout.together == 2 ? half * 4 : 0;
#pragma GCC unroll 4
    for (int q = 0; q < K::quads; ++q, codes += kQuadBytes<K>) {
      __m512i quad = _mm512_and_si512(shifted(packed, -2 * q), _mm512_set1_epi8(3));
      if constexpr (U::format.bits == 3) quad = with_high(quad, shifted(high, 2 - first_bit - q), 4);
      _mm512_store_si512(codes, quad);
    }
    return;
  }
#pragma GCC unroll 4
  for (int i = 0; i < K::quads / 2; ++i, codes += 2 * kQuadBytes<K>) {
    const __m512i a = quad_pair(first, group, i), b = quad_pair(second, group, i);
    auto* to = reinterpret_cast<__m256i*>(codes);
    auto* above = reinterpret_cast<__m256i*>(codes + kQuadBytes<K>);
    _mm256_store_si256(to, _mm512_castsi512_si256(a));
    _mm256_store_si256(to + 1, _mm512_castsi512_si256(b));
    _mm256_store_si256(above, _mm512_extracti64x4_epi64(a, 1));
    _mm256_store_si256(above + 1, _mm512_extracti64x4_epi64(b, 1));
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
