// Vectors of sixteen floats for matmul: loads from f32, f16 and bf16. Included by the AVX-512 sources only.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/simd/matmul_vector.h"
#include "kernels/avx512/lanes.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Distance of the prefetches, in rows, while a block of B is packed: its rows are short and far apart, which the
// hardware prefetchers do not predict.
constexpr int64_t kPackRowsAhead = 8;

inline __m512 load16(const float* from) { return _mm512_loadu_ps(from); }
inline __m512 load16(const Half* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline __m512 load16(const Bfloat* from) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
// Loads the first `count` (1 to 15) elements and fills the other lanes with zeros. Reads no byte beyond them.
inline __m512 load_first16(const float* from, int64_t count) { return _mm512_maskz_loadu_ps(first_of_16(count), from); }
template <typename Element>
inline __m512 load_first16(const Element* from, int64_t count) {
  Element elements[16] = {};
  std::memcpy(elements, from, static_cast<size_t>(count) * sizeof(Element));
  return load16(elements);
}

// Loads the elements in `present` and fills the other lanes with zeros. Reads no other byte.
inline __m512 load_masked16(const float* from, __mmask16 present) { return _mm512_maskz_loadu_ps(present, from); }
inline __m512 load_masked16(const Half* from, __mmask16 present) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(present, from));
}
inline __m512 load_masked16(const Bfloat* from, __mmask16 present) {
  const __m256i bits = _mm256_maskz_loadu_epi16(present, from);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

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
