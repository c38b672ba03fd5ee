// dot_strip_group with vectors of 16 lanes: one group of one strip with some rows, for decoding
// (avx2/quantized_few.h). A vector is two consecutive quads of the 8 rows of weights; the halves of the sums are added
// at the end. Included by the AVX-512 quantized kernels.
#pragma once

#include "kernels/avx2/quantized_unit.h"

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

// dot[r] receives the exact sums of row r with the 8 rows of weights. `half` as in dot_group.
template <QuantizedType type, int Rows>
TESSERAE_QUANTIZED_INLINE void dot_strip_group(const Unit<type>& unit, int64_t group,
                                               const ActivationBlock* const (&block)[Rows], int half,
                                               __m256i (&dot)[Rows][1]) {
  using K = typename Unit<type>::K;
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

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
