// Pairs of 16-bit elements for matmul. Included by the AVX-512 sources only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/matmul_vector.h"
#include "kernels/avx512/lanes.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Elements of 16 bits are transposed in pairs, two in each 32-bit lane. These widen the first or the second of each
// pair.
template <typename Element>
__m512 low_of_pair(__m512i pairs);
template <typename Element>
__m512 high_of_pair(__m512i pairs);
template <>
inline __attribute__((always_inline)) __m512 low_of_pair<Half>(__m512i pairs) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pairs));
}
template <>
inline __attribute__((always_inline)) __m512 high_of_pair<Half>(__m512i pairs) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(pairs, 16)));
}
template <>
inline __attribute__((always_inline)) __m512 low_of_pair<Bfloat>(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}
template <>
inline __attribute__((always_inline)) __m512 high_of_pair<Bfloat>(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
