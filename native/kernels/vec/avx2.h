// The vector layer with AVX2, FMA and F16C, and with the 8-bit dot products of AVX-VNNI or AVX-512 VNNI where the set is
// compiled with them. Each function is one instruction, or a fixed short sequence. vec.h describes the names.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tesserae {
inline namespace TESSERAE_ISA {

using F32x8 = __m256;
using F64x4 = __m256d;
using Bits256 = __m256i;
using F32x4 = __m128;
using F64x2 = __m128d;
using Bits128 = __m128i;

// Constants, and values in all lanes.
TESSERAE_INLINE F32x8 f32x8(float x) { return _mm256_set1_ps(x); }
TESSERAE_INLINE F32x8 f32x8(float a, float b, float c, float d, float e, float f, float g, float h) {
  return _mm256_setr_ps(a, b, c, d, e, f, g, h);
}
TESSERAE_INLINE F32x4 f32x4(float x) { return _mm_set1_ps(x); }
TESSERAE_INLINE F64x4 f64x4(double x) { return _mm256_set1_pd(x); }
TESSERAE_INLINE F64x4 f64x4(double a, double b, double c, double d) { return _mm256_setr_pd(a, b, c, d); }
TESSERAE_INLINE Bits256 i8x32(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
TESSERAE_INLINE Bits256 i16x16(int x) { return _mm256_set1_epi16(static_cast<int16_t>(x)); }
TESSERAE_INLINE Bits256 i32x8(int32_t x) { return _mm256_set1_epi32(x); }
TESSERAE_INLINE Bits256 i32x8(int a, int b, int c, int d, int e, int f, int g, int h) {
  return _mm256_setr_epi32(a, b, c, d, e, f, g, h);
}
TESSERAE_INLINE Bits256 i64x4(int64_t x) { return _mm256_set1_epi64x(x); }
TESSERAE_INLINE Bits256 i64x4(int64_t a, int64_t b, int64_t c, int64_t d) { return _mm256_setr_epi64x(a, b, c, d); }
TESSERAE_INLINE Bits128 i8x16(int x) { return _mm_set1_epi8(static_cast<char>(x)); }
TESSERAE_INLINE Bits128 i32x4(int32_t x) { return _mm_set1_epi32(x); }

// Loads and stores. Those named aligned need an address that is a multiple of 32.
TESSERAE_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
TESSERAE_INLINE void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }  // into L2
TESSERAE_INLINE F32x8 broadcast_f32x8(const float* p) { return _mm256_broadcast_ss(p); }
TESSERAE_INLINE F32x8 load_f32x8(const float* p) { return _mm256_loadu_ps(p); }
TESSERAE_INLINE F32x8 load_aligned_f32x8(const float* p) { return _mm256_load_ps(p); }
TESSERAE_INLINE F32x4 load_f32x4(const float* p) { return _mm_loadu_ps(p); }
TESSERAE_INLINE F64x4 load_f64x4(const double* p) { return _mm256_loadu_pd(p); }
TESSERAE_INLINE void store_f32x8(float* p, F32x8 v) { _mm256_storeu_ps(p, v); }
TESSERAE_INLINE void store_aligned_f32x8(float* p, F32x8 v) { _mm256_store_ps(p, v); }
TESSERAE_INLINE void store_f32x4(float* p, F32x4 v) { _mm_storeu_ps(p, v); }
TESSERAE_INLINE void store_f64x4(double* p, F64x4 v) { _mm256_storeu_pd(p, v); }
TESSERAE_INLINE Bits256 load_bits256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
TESSERAE_INLINE Bits256 load_aligned_bits256(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }
TESSERAE_INLINE Bits128 load_bits128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
TESSERAE_INLINE Bits128 load_bits64(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
TESSERAE_INLINE void store_bits256(void* p, Bits256 v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
TESSERAE_INLINE void store_aligned_bits256(void* p, Bits256 v) { _mm256_store_si256(static_cast<__m256i*>(p), v); }
TESSERAE_INLINE void store_bits128(void* p, Bits128 v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }
TESSERAE_INLINE void store_bits64(void* p, Bits128 v) { _mm_storel_epi64(static_cast<__m128i*>(p), v); }
// Lanes whose mask is not set are not accessed; loads give 0 there.
TESSERAE_INLINE F32x8 masked_load_f32x8(const float* p, Bits256 mask) { return _mm256_maskload_ps(p, mask); }
TESSERAE_INLINE void masked_store_f32x8(float* p, Bits256 mask, F32x8 v) { _mm256_maskstore_ps(p, mask, v); }

// Arithmetic on floats.
TESSERAE_INLINE F32x8 add(F32x8 a, F32x8 b) { return _mm256_add_ps(a, b); }
TESSERAE_INLINE F32x8 sub(F32x8 a, F32x8 b) { return _mm256_sub_ps(a, b); }
TESSERAE_INLINE F32x8 mul(F32x8 a, F32x8 b) { return _mm256_mul_ps(a, b); }
TESSERAE_INLINE F32x8 div(F32x8 a, F32x8 b) { return _mm256_div_ps(a, b); }
TESSERAE_INLINE F32x8 max(F32x8 a, F32x8 b) { return _mm256_max_ps(a, b); }
TESSERAE_INLINE F32x8 min(F32x8 a, F32x8 b) { return _mm256_min_ps(a, b); }
TESSERAE_INLINE F32x8 fma(F32x8 a, F32x8 b, F32x8 c) { return _mm256_fmadd_ps(a, b, c); }
TESSERAE_INLINE F32x8 fms(F32x8 a, F32x8 b, F32x8 c) { return _mm256_fmsub_ps(a, b, c); }
TESSERAE_INLINE F32x8 fnma(F32x8 a, F32x8 b, F32x8 c) { return _mm256_fnmadd_ps(a, b, c); }
TESSERAE_INLINE F32x4 mul(F32x4 a, F32x4 b) { return _mm_mul_ps(a, b); }
TESSERAE_INLINE F64x4 add(F64x4 a, F64x4 b) { return _mm256_add_pd(a, b); }
TESSERAE_INLINE F64x4 sub(F64x4 a, F64x4 b) { return _mm256_sub_pd(a, b); }
TESSERAE_INLINE F64x4 mul(F64x4 a, F64x4 b) { return _mm256_mul_pd(a, b); }
TESSERAE_INLINE F64x4 div(F64x4 a, F64x4 b) { return _mm256_div_pd(a, b); }
TESSERAE_INLINE F64x4 min(F64x4 a, F64x4 b) { return _mm256_min_pd(a, b); }
TESSERAE_INLINE F64x4 fma(F64x4 a, F64x4 b, F64x4 c) { return _mm256_fmadd_pd(a, b, c); }
TESSERAE_INLINE F64x4 fnma(F64x4 a, F64x4 b, F64x4 c) { return _mm256_fnmadd_pd(a, b, c); }
TESSERAE_INLINE F64x4 round_down(F64x4 a) { return _mm256_floor_pd(a); }
// sum += factor · column, rounded once. Written as the instruction, with this order of operands: for _mm256_fmadd_ps
// GCC 12 chooses forms that overwrite a factor, and then moves and spills accumulators in the inner loop.
TESSERAE_INLINE void fma_in_place(F32x8& sum, F32x8 factor, F32x8 column) {
  asm volatile("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(factor), "x"(column));
}

// Comparisons and choices.
TESSERAE_INLINE F32x8 compare_less(F32x8 a, F32x8 b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
TESSERAE_INLINE F32x8 compare_equal(F32x8 a, F32x8 b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
TESSERAE_INLINE F32x8 compare_at_least(F32x8 a, F32x8 b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
TESSERAE_INLINE F32x8 compare_unordered(F32x8 a, F32x8 b) { return _mm256_cmp_ps(a, b, _CMP_UNORD_Q); }
TESSERAE_INLINE F64x4 compare_less(F64x4 a, F64x4 b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
TESSERAE_INLINE F64x4 compare_equal(F64x4 a, F64x4 b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
TESSERAE_INLINE F64x4 compare_at_least(F64x4 a, F64x4 b) { return _mm256_cmp_pd(a, b, _CMP_GE_OQ); }
TESSERAE_INLINE F32x8 blend(F32x8 a, F32x8 b, F32x8 mask) { return _mm256_blendv_ps(a, b, mask); }
TESSERAE_INLINE F64x4 blend(F64x4 a, F64x4 b, F64x4 mask) { return _mm256_blendv_pd(a, b, mask); }
TESSERAE_INLINE int sign_bits(F32x8 v) { return _mm256_movemask_ps(v); }
TESSERAE_INLINE int sign_bits(F64x4 v) { return _mm256_movemask_pd(v); }

// Bits. and_not(a, b) is ~a & b.
TESSERAE_INLINE F32x8 bit_and(F32x8 a, F32x8 b) { return _mm256_and_ps(a, b); }
TESSERAE_INLINE F32x8 bit_or(F32x8 a, F32x8 b) { return _mm256_or_ps(a, b); }
TESSERAE_INLINE F32x8 bit_xor(F32x8 a, F32x8 b) { return _mm256_xor_ps(a, b); }
TESSERAE_INLINE F32x8 and_not(F32x8 a, F32x8 b) { return _mm256_andnot_ps(a, b); }
TESSERAE_INLINE F32x4 bit_xor(F32x4 a, F32x4 b) { return _mm_xor_ps(a, b); }
TESSERAE_INLINE F64x4 bit_and(F64x4 a, F64x4 b) { return _mm256_and_pd(a, b); }
TESSERAE_INLINE F64x4 bit_or(F64x4 a, F64x4 b) { return _mm256_or_pd(a, b); }
TESSERAE_INLINE F64x4 bit_xor(F64x4 a, F64x4 b) { return _mm256_xor_pd(a, b); }
TESSERAE_INLINE F64x4 and_not(F64x4 a, F64x4 b) { return _mm256_andnot_pd(a, b); }
TESSERAE_INLINE Bits256 bit_and(Bits256 a, Bits256 b) { return _mm256_and_si256(a, b); }
TESSERAE_INLINE Bits256 bit_or(Bits256 a, Bits256 b) { return _mm256_or_si256(a, b); }
TESSERAE_INLINE Bits256 bit_xor(Bits256 a, Bits256 b) { return _mm256_xor_si256(a, b); }
TESSERAE_INLINE Bits128 bit_and(Bits128 a, Bits128 b) { return _mm_and_si128(a, b); }

// Integers.
TESSERAE_INLINE Bits256 add_i8(Bits256 a, Bits256 b) { return _mm256_add_epi8(a, b); }
TESSERAE_INLINE Bits256 add_i16(Bits256 a, Bits256 b) { return _mm256_add_epi16(a, b); }
TESSERAE_INLINE Bits256 add_i32(Bits256 a, Bits256 b) { return _mm256_add_epi32(a, b); }
TESSERAE_INLINE Bits256 add_i64(Bits256 a, Bits256 b) { return _mm256_add_epi64(a, b); }
TESSERAE_INLINE Bits256 sub_i32(Bits256 a, Bits256 b) { return _mm256_sub_epi32(a, b); }
TESSERAE_INLINE Bits128 sub_i32(Bits128 a, Bits128 b) { return _mm_sub_epi32(a, b); }
TESSERAE_INLINE Bits256 mul_i32(Bits256 a, Bits256 b) { return _mm256_mullo_epi32(a, b); }
TESSERAE_INLINE Bits256 max_i32(Bits256 a, Bits256 b) { return _mm256_max_epi32(a, b); }
TESSERAE_INLINE Bits256 min_i32(Bits256 a, Bits256 b) { return _mm256_min_epi32(a, b); }
TESSERAE_INLINE Bits256 abs_i8(Bits256 a) { return _mm256_abs_epi8(a); }
TESSERAE_INLINE Bits256 abs_i32(Bits256 a) { return _mm256_abs_epi32(a); }
TESSERAE_INLINE Bits256 greater_i8(Bits256 a, Bits256 b) { return _mm256_cmpgt_epi8(a, b); }
TESSERAE_INLINE Bits256 greater_i32(Bits256 a, Bits256 b) { return _mm256_cmpgt_epi32(a, b); }
TESSERAE_INLINE Bits256 equal_i32(Bits256 a, Bits256 b) { return _mm256_cmpeq_epi32(a, b); }
TESSERAE_INLINE Bits256 shift_left_i16(Bits256 a, int n) { return _mm256_slli_epi16(a, n); }
TESSERAE_INLINE Bits256 shift_left_i32(Bits256 a, int n) { return _mm256_slli_epi32(a, n); }
TESSERAE_INLINE Bits256 shift_left_i64(Bits256 a, int n) { return _mm256_slli_epi64(a, n); }
TESSERAE_INLINE Bits128 shift_left_i32(Bits128 a, int n) { return _mm_slli_epi32(a, n); }
TESSERAE_INLINE Bits256 shift_right_u16(Bits256 a, int n) { return _mm256_srli_epi16(a, n); }
TESSERAE_INLINE Bits256 shift_right_u32(Bits256 a, int n) { return _mm256_srli_epi32(a, n); }
TESSERAE_INLINE Bits256 shift_right_i32(Bits256 a, int n) { return _mm256_srai_epi32(a, n); }
TESSERAE_INLINE Bits128 shift_right_u16(Bits128 a, int n) { return _mm_srli_epi16(a, n); }
// The same for a count that is known only when it runs.
TESSERAE_INLINE Bits256 shift_right_by_u16(Bits256 a, int n) { return _mm256_srl_epi16(a, _mm_cvtsi32_si128(n)); }
TESSERAE_INLINE Bits256 shift_right_by_u32(Bits256 a, int n) { return _mm256_srl_epi32(a, _mm_cvtsi32_si128(n)); }
// The product of an unsigned byte of a and a signed byte of b, plus the next product; saturates at 16 bits.
TESSERAE_INLINE Bits256 multiply_pairs_u8_i8(Bits256 a, Bits256 b) { return _mm256_maddubs_epi16(a, b); }
TESSERAE_INLINE Bits256 multiply_pairs_i16(Bits256 a, Bits256 b) { return _mm256_madd_epi16(a, b); }
// a, negated where the sign is negative, 0 where it is 0.
TESSERAE_INLINE Bits256 with_sign_i8(Bits256 a, Bits256 sign) { return _mm256_sign_epi8(a, sign); }

// Bits as floats, and floats as bits.
TESSERAE_INLINE Bits256 bits_of(F32x8 v) { return _mm256_castps_si256(v); }
TESSERAE_INLINE Bits256 bits_of(F64x4 v) { return _mm256_castpd_si256(v); }
TESSERAE_INLINE Bits128 bits_of(F32x4 v) { return _mm_castps_si128(v); }
TESSERAE_INLINE F32x8 as_f32(Bits256 v) { return _mm256_castsi256_ps(v); }
TESSERAE_INLINE F32x4 as_f32(Bits128 v) { return _mm_castsi128_ps(v); }
TESSERAE_INLINE F64x4 as_f64(Bits256 v) { return _mm256_castsi256_pd(v); }

// Conversions, to nearest, ties to even. f32_to_i32 is defined for magnitudes below 2^22. Those to fewer bits saturate;
// i32_to_u8 and i32_to_i8 give eight bytes.
TESSERAE_INLINE F32x8 i32_to_f32(Bits256 v) { return _mm256_cvtepi32_ps(v); }
TESSERAE_INLINE F32x4 i32_to_f32(Bits128 v) { return _mm_cvtepi32_ps(v); }
TESSERAE_INLINE Bits256 f32_to_i32(F32x8 v) { return _mm256_cvtps_epi32(v); }
TESSERAE_INLINE F64x4 f32_to_f64(F32x4 v) { return _mm256_cvtps_pd(v); }
TESSERAE_INLINE F32x4 f64_to_f32(F64x4 v) { return _mm256_cvtpd_ps(v); }
TESSERAE_INLINE Bits128 f64_to_i32_towards_0(F64x4 v) { return _mm256_cvttpd_epi32(v); }
TESSERAE_INLINE F32x8 f16_to_f32(Bits128 v) { return _mm256_cvtph_ps(v); }
TESSERAE_INLINE F32x4 f16_to_f32_low(Bits128 v) { return _mm_cvtph_ps(v); }
TESSERAE_INLINE Bits128 f32_to_f16(F32x8 v) { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
TESSERAE_INLINE float half_to_f32(uint16_t half) { return _cvtsh_ss(half); }
TESSERAE_INLINE uint16_t f32_to_half(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT); }
TESSERAE_INLINE Bits256 u8_to_i32(Bits128 v) { return _mm256_cvtepu8_epi32(v); }
TESSERAE_INLINE Bits256 i8_to_i32(Bits128 v) { return _mm256_cvtepi8_epi32(v); }
TESSERAE_INLINE Bits256 u16_to_i32(Bits128 v) { return _mm256_cvtepu16_epi32(v); }
TESSERAE_INLINE Bits256 u32_to_i64(Bits128 v) { return _mm256_cvtepu32_epi64(v); }
TESSERAE_INLINE Bits128 i32_to_u16(Bits256 v) {
  return _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
TESSERAE_INLINE Bits128 i32_to_u8(Bits256 v) {
  const __m128i words = i32_to_u16(v);
  return _mm_packus_epi16(words, words);
}
TESSERAE_INLINE Bits128 i32_to_i8(Bits256 v) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  return _mm_packs_epi16(words, words);
}

// Moves of lanes.
TESSERAE_INLINE F32x4 low_half(F32x8 v) { return _mm256_castps256_ps128(v); }
TESSERAE_INLINE F32x4 high_half(F32x8 v) { return _mm256_extractf128_ps(v, 1); }
TESSERAE_INLINE Bits128 low_half(Bits256 v) { return _mm256_castsi256_si128(v); }
TESSERAE_INLINE Bits128 high_half(Bits256 v) { return _mm256_extracti128_si256(v, 1); }
TESSERAE_INLINE F32x8 join(F32x4 low, F32x4 high) { return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1); }
TESSERAE_INLINE Bits256 in_both_halves(Bits128 v) { return _mm256_broadcastsi128_si256(v); }
TESSERAE_INLINE F32x8 low_halves(F32x8 a, F32x8 b) { return _mm256_permute2f128_ps(a, b, 0x20); }
TESSERAE_INLINE F32x8 high_halves(F32x8 a, F32x8 b) { return _mm256_permute2f128_ps(a, b, 0x31); }
TESSERAE_INLINE F32x8 low_pairs(F32x8 a, F32x8 b) { return _mm256_shuffle_ps(a, b, 0x44); }
TESSERAE_INLINE F32x8 high_pairs(F32x8 a, F32x8 b) { return _mm256_shuffle_ps(a, b, 0xee); }
TESSERAE_INLINE F32x8 swap_neighbours(F32x8 v) { return _mm256_permute_ps(v, 0xb1); }  // 1 0 3 2 ...
TESSERAE_INLINE F32x8 interleave_low(F32x8 a, F32x8 b) { return _mm256_unpacklo_ps(a, b); }
TESSERAE_INLINE F32x8 interleave_high(F32x8 a, F32x8 b) { return _mm256_unpackhi_ps(a, b); }
TESSERAE_INLINE F32x4 interleave_low(F32x4 a, F32x4 b) { return _mm_unpacklo_ps(a, b); }
TESSERAE_INLINE F32x4 interleave_high(F32x4 a, F32x4 b) { return _mm_unpackhi_ps(a, b); }
TESSERAE_INLINE Bits256 interleave_low_i16(Bits256 a, Bits256 b) { return _mm256_unpacklo_epi16(a, b); }
TESSERAE_INLINE Bits256 interleave_high_i16(Bits256 a, Bits256 b) { return _mm256_unpackhi_epi16(a, b); }
TESSERAE_INLINE Bits256 interleave_low_i32(Bits256 a, Bits256 b) { return _mm256_unpacklo_epi32(a, b); }
TESSERAE_INLINE Bits256 interleave_high_i32(Bits256 a, Bits256 b) { return _mm256_unpackhi_epi32(a, b); }
TESSERAE_INLINE Bits256 interleave_low_i64(Bits256 a, Bits256 b) { return _mm256_unpacklo_epi64(a, b); }
TESSERAE_INLINE Bits256 interleave_high_i64(Bits256 a, Bits256 b) { return _mm256_unpackhi_epi64(a, b); }
TESSERAE_INLINE Bits256 pack_i32_to_i16(Bits256 a, Bits256 b) { return _mm256_packs_epi32(a, b); }
TESSERAE_INLINE Bits256 pack_i16_to_i8(Bits256 a, Bits256 b) { return _mm256_packs_epi16(a, b); }
TESSERAE_INLINE Bits256 permute_i32(Bits256 v, Bits256 order) { return _mm256_permutevar8x32_epi32(v, order); }
// The entries of a table of 16 bytes (one in each half) at indexes from 0 to 15.
TESSERAE_INLINE Bits256 look_up_bytes(Bits256 table, Bits256 indexes) { return _mm256_shuffle_epi8(table, indexes); }
TESSERAE_INLINE F32x4 broadcast_first(F32x4 v) { return _mm_broadcastss_ps(v); }
// The first lane of `first`, the others of `others`.
TESSERAE_INLINE Bits128 first_lane_from(Bits128 first, Bits128 others) { return _mm_blend_epi32(others, first, 1); }

// One value from all lanes. Sums of floats have a fixed order: ((0+4)+(2+6)) + ((1+5)+(3+7)), and (0+2)+(1+3).
TESSERAE_INLINE float sum_lanes(F32x8 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}
TESSERAE_INLINE double sum_lanes(F64x4 v) {
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
TESSERAE_INLINE float max_lanes(F32x8 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  return _mm_cvtss_f32(m);
}
TESSERAE_INLINE int32_t sum_lanes_i32(Bits256 v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
// The largest 32-bit integer, as the bits of a float.
TESSERAE_INLINE float f32_of_largest_i32(Bits256 v) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

// Integer dot products: adds the products of four unsigned codes with four signed values to each sum.
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
constexpr DotKind kDot = DotKind::unsigned_quads;
TESSERAE_INLINE Bits256 dot_quad(Bits256 sum, Bits256 codes, Bits256 x) { return _mm256_dpbusd_epi32(sum, codes, x); }
#elif defined(__AVXVNNI__)
constexpr DotKind kDot = DotKind::unsigned_quads;
TESSERAE_INLINE Bits256 dot_quad(Bits256 sum, Bits256 codes, Bits256 x) { return _mm256_dpbusd_avx_epi32(sum, codes, x); }
#else
constexpr DotKind kDot = DotKind::pairs;
// For codes of at most 7 bits: the sum of a pair of products fits into 16 bits.
TESSERAE_INLINE Bits256 dot_quad(Bits256 sum, Bits256 codes, Bits256 x) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1)));
}
#endif

// Keeps a sum in its register. GCC 12 reassociates integer sums otherwise: it computes all products first, spills them
// to the stack, and adds them as a tree (measured: half the speed). Of doubles, it computes one vector after the other.
TESSERAE_INLINE void keep_in_register(Bits256& sum) { asm("" : "+x"(sum)); }
TESSERAE_INLINE void keep_in_register(F64x4& sum) { asm volatile("" : "+v"(sum)); }

}  // namespace TESSERAE_ISA
}  // namespace tesserae
