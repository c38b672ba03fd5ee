// Loads and stores of element types as eight lanes of 32 bits: f32, f16, bf16 and plain bits. Included by the AVX2
// kernels copy, embedding, scatter and store_key_values.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/avx2/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// Each type has load8 and store8 for its Storage. Bits32, Bits16 and Bits8 move bits without converting.
struct Bits32 {
  using Storage = uint32_t;
  TESSERAE_INLINE static __m256 load8(const Storage* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  TESSERAE_INLINE static void store8(Storage* p, __m256 v) { _mm256_storeu_ps(reinterpret_cast<float*>(p), v); }
};

struct Bits16 {
  using Storage = uint16_t;
  TESSERAE_INLINE static __m256 load8(const Storage* p) {
    return _mm256_castsi256_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  TESSERAE_INLINE static void store8(Storage* p, __m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
  }
};

struct Bits8 {
  using Storage = uint8_t;
  TESSERAE_INLINE static __m256 load8(const Storage* p) {
    return _mm256_castsi256_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  TESSERAE_INLINE static void store8(Storage* p, __m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(packed, packed));
  }
};

// f16 in memory, f32 in the lanes; stores round to nearest, ties to even.
struct Half {
  using Storage = uint16_t;
  TESSERAE_INLINE static __m256 load8(const Storage* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  TESSERAE_INLINE static void store8(Storage* p, __m256 v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

// bf16 in memory, f32 in the lanes; stores round to nearest, ties to even, and write NaN as quiet NaN.
struct Bfloat {
  using Storage = uint16_t;
  TESSERAE_INLINE static __m256 load8(const Storage* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  TESSERAE_INLINE static void store8(Storage* p, __m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256 is_nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    const __m256 chosen = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), is_nan);
    const __m256i upper = _mm256_srli_epi32(_mm256_castps_si256(chosen), 16);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
  }
};

// Converts `count` < 8 elements through a full vector on the stack.
template <typename From, typename To>
inline void convert_few(const typename From::Storage* x, typename To::Storage* y, int64_t count) {
  typename From::Storage from[8] = {};
  typename To::Storage to[8];
  std::memcpy(from, x, sizeof(from[0]) * static_cast<size_t>(count));
  To::store8(to, From::load8(from));
  std::memcpy(y, to, sizeof(to[0]) * static_cast<size_t>(count));
}

template <typename From, typename To>
inline void convert_row(const typename From::Storage* x, typename To::Storage* y, int64_t columns) {
  int64_t column = 0;
  for (; column + 8 <= columns; column += 8) To::store8(y + column, From::load8(x + column));
  if (column < columns) convert_few<From, To>(x + column, y + column, columns - column);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
