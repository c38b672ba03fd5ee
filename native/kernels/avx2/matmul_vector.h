// Vectors of eight floats for matmul: masks, loads from f32, f16 and bf16, transposes. Included by the matmul and
// packing sources of the vector sets.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/half.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// All bits set in the first `count` lanes; count may be any number.
inline __m256i first_lanes(int64_t count) {
  const int limit = count < 0 ? 0 : count > 8 ? 8 : static_cast<int>(count);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(limit), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// The 16-bit element types; two C++ types, so that overloads can distinguish them.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

template <typename Element>
__m256 widen(__m128i bits);
template <>
inline __m256 widen<Half>(__m128i bits) {
  return _mm256_cvtph_ps(bits);
}
template <>
inline __m256 widen<Bfloat>(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

inline __m256 load8(const float* from) { return _mm256_loadu_ps(from); }
template <typename Element>
inline __m256 load8(const Element* from) {
  return widen<Element>(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

// Loads the first `count` (1 to 7) elements and fills the other lanes with zeros. Reads no byte beyond them.
inline __m256 load_first(const float* from, int64_t count) { return _mm256_maskload_ps(from, first_lanes(count)); }
template <typename Element>
inline __m256 load_first(const Element* from, int64_t count) {
  Element elements[8] = {};
  std::memcpy(elements, from, static_cast<size_t>(count) * sizeof(Element));
  return load8(elements);
}

inline float load1(const float* from) { return *from; }
inline float load1(const Half* from) { return _cvtsh_ss(from->bits); }
inline float load1(const Bfloat* from) { return bfloat_to_float(from->bits); }

// Loads the first `count` of eight elements that are `stride` apart, and fills the other lanes with zeros.
template <typename Element>
inline __m256 load_strided(const Element* from, int64_t stride, int64_t count) {
  alignas(32) float lanes[8] = {};
  for (int64_t lane = 0; lane < count && lane < 8; ++lane) lanes[lane] = load1(from + lane * stride);
  return _mm256_load_ps(lanes);
}

// Transposes 8 × 8 floats: lane j of rows[i] becomes lane i of rows[j].
inline void transpose8(__m256 (&rows)[8]) {
  __m256 pairs[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  __m256 quads[8];
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
  }
}

// Transposes two 8 × 8 squares of 16-bit elements: lane j of rows[i] becomes lane i of rows[j], within the first eight
// lanes and within the other eight. Transposing before widening takes half the shuffles.
inline void transpose8(__m256i (&rows)[8]) {
  __m256i pairs[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // pairs[i]: lanes 0-3 of rows 2i and 2i+1; pairs[i + 4]: lanes 4-7
    pairs[i] = _mm256_unpacklo_epi16(rows[2 * i], rows[2 * i + 1]);
    pairs[i + 4] = _mm256_unpackhi_epi16(rows[2 * i], rows[2 * i + 1]);
  }
  __m256i quads[8];
#pragma GCC unroll 2
  for (int half = 0; half < 8; half += 4) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {  // lanes of rows 4i to 4i+3, two columns each
      quads[half + i] = _mm256_unpacklo_epi32(pairs[half + 2 * i], pairs[half + 2 * i + 1]);
      quads[half + i + 2] = _mm256_unpackhi_epi32(pairs[half + 2 * i], pairs[half + 2 * i + 1]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    rows[i] = _mm256_unpacklo_epi64(quads[i], quads[i + 1]);
    rows[i + 1] = _mm256_unpackhi_epi64(quads[i], quads[i + 1]);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
