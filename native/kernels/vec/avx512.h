// The vector layer with AVX-512: that of AVX2, whose eight lanes keep their instructions, and here vectors of 512 bits in
// one register. Comparisons of these give masks of one bit a lane. vec.h describes the names.
#pragma once

#include "kernels/vec/avx2.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

#define TESSERAE_HAS_512_BITS

using F32x16 = __m512;
using F64x8 = __m512d;
using Bits512 = __m512i;
using Mask16 = __mmask16;
using Mask8 = __mmask8;

// The widest vectors that are one register, and the number of registers.
using Floats = F32x16;
using Doubles = F64x8;
using DoublesMask = Mask8;
constexpr int kRegisters = 32;

// Constants, and values in all lanes.
TESSERAE_INLINE F32x16 f32x16(float x) { return _mm512_set1_ps(x); }
TESSERAE_INLINE Bits512 i32x16(int32_t x) { return _mm512_set1_epi32(x); }

// Loads and stores. Those named aligned need an address that is a multiple of 64.
TESSERAE_INLINE F32x16 broadcast_f32x16(const float* p) { return _mm512_set1_ps(*p); }
TESSERAE_INLINE F32x16 load_f32x16(const float* p) { return _mm512_loadu_ps(p); }
TESSERAE_INLINE F32x16 load_aligned_f32x16(const float* p) { return _mm512_load_ps(p); }
TESSERAE_INLINE Bits512 load_bits512(const void* p) { return _mm512_loadu_si512(p); }
TESSERAE_INLINE void store_f32x16(float* p, F32x16 v) { _mm512_storeu_ps(p, v); }
TESSERAE_INLINE void store_aligned_f32x16(float* p, F32x16 v) { _mm512_store_ps(p, v); }
TESSERAE_INLINE void store_bits512(void* p, Bits512 v) { _mm512_storeu_si512(p, v); }
// Lanes whose mask is not set are not accessed; loads give 0 there.
TESSERAE_INLINE F32x16 masked_load_f32x16(const float* p, Mask16 mask) { return _mm512_maskz_loadu_ps(mask, p); }
TESSERAE_INLINE Bits256 masked_load_u16(const void* p, Mask16 mask) { return _mm256_maskz_loadu_epi16(mask, p); }
TESSERAE_INLINE void masked_store_f32x16(float* p, Mask16 mask, F32x16 v) { _mm512_mask_storeu_ps(p, mask, v); }
// The mask of the first `count` lanes; count may be any number.
TESSERAE_INLINE Mask16 first_lanes16(int64_t count) {
  return static_cast<Mask16>(count < 0 ? 0 : count > 15 ? 0xffff : (1u << count) - 1);
}
// The lanes whose bits are set.
TESSERAE_INLINE Mask16 mask_of(uint32_t bits) { return static_cast<Mask16>(bits); }

// Doubles, eight: the same functions as for four in wide_pairs.h.
TESSERAE_INLINE Doubles doubles(double x) { return _mm512_set1_pd(x); }
TESSERAE_INLINE Doubles double_numbers() { return _mm512_setr_pd(0, 1, 2, 3, 4, 5, 6, 7); }
TESSERAE_INLINE Doubles load_doubles(const double* p) { return _mm512_loadu_pd(p); }
TESSERAE_INLINE Doubles load_doubles(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
TESSERAE_INLINE void store_doubles(double* p, Doubles v) { _mm512_storeu_pd(p, v); }
TESSERAE_INLINE void store_as_i32(int32_t* p, Doubles v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvttpd_epi32(v));
}
// The bits of floats in 64-bit lanes, and first, first + 1 and so on.
TESSERAE_INLINE Bits512 load_u32_as_i64(const float* p) { return _mm512_cvtepu32_epi64(_mm256_castps_si256(_mm256_loadu_ps(p))); }
TESSERAE_INLINE Bits512 numbers_i64(int64_t first) {
  return _mm512_add_epi64(_mm512_set1_epi64(first), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
}
// Stores the lanes of the mask, one after the other; memory for all lanes is overwritten. Compressed in a register:
// compressing to memory is slow on Zen 4.
TESSERAE_INLINE void store_compressed_i64(void* p, Mask8 mask, Bits512 v) {
  _mm512_storeu_si512(p, _mm512_maskz_compress_epi64(mask, v));
}

// Arithmetic on floats.
TESSERAE_INLINE F32x16 add(F32x16 a, F32x16 b) { return _mm512_add_ps(a, b); }
TESSERAE_INLINE F32x16 sub(F32x16 a, F32x16 b) { return _mm512_sub_ps(a, b); }
TESSERAE_INLINE F32x16 mul(F32x16 a, F32x16 b) { return _mm512_mul_ps(a, b); }
TESSERAE_INLINE F32x16 div(F32x16 a, F32x16 b) { return _mm512_div_ps(a, b); }
TESSERAE_INLINE F32x16 max(F32x16 a, F32x16 b) { return _mm512_max_ps(a, b); }
TESSERAE_INLINE F32x16 min(F32x16 a, F32x16 b) { return _mm512_min_ps(a, b); }
TESSERAE_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return _mm512_fmadd_ps(a, b, c); }
TESSERAE_INLINE F32x16 fms(F32x16 a, F32x16 b, F32x16 c) { return _mm512_fmsub_ps(a, b, c); }
TESSERAE_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) { return _mm512_fnmadd_ps(a, b, c); }
// Written as the instruction, as in avx2.h.
TESSERAE_INLINE void fma_in_place(F32x16& sum, F32x16 factor, F32x16 column) {
  asm volatile("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(factor), "v"(column));
}
// sum += *factor · column, with a factor from memory in all lanes. GCC 12 would order several of these chain by chain, each
// waiting for the one before.
TESSERAE_INLINE void fma_in_place(F32x16& sum, const float* factor, F32x16 column) {
  asm volatile("vfmadd231ps %1%{1to16%}, %2, %0" : "+v"(sum) : "m"(*factor), "v"(column));
}
TESSERAE_INLINE F64x8 add(F64x8 a, F64x8 b) { return _mm512_add_pd(a, b); }
TESSERAE_INLINE F64x8 sub(F64x8 a, F64x8 b) { return _mm512_sub_pd(a, b); }
TESSERAE_INLINE F64x8 mul(F64x8 a, F64x8 b) { return _mm512_mul_pd(a, b); }
TESSERAE_INLINE F64x8 div(F64x8 a, F64x8 b) { return _mm512_div_pd(a, b); }
TESSERAE_INLINE F64x8 min(F64x8 a, F64x8 b) { return _mm512_min_pd(a, b); }
TESSERAE_INLINE F64x8 fma(F64x8 a, F64x8 b, F64x8 c) { return _mm512_fmadd_pd(a, b, c); }
TESSERAE_INLINE F64x8 fnma(F64x8 a, F64x8 b, F64x8 c) { return _mm512_fnmadd_pd(a, b, c); }
TESSERAE_INLINE F64x8 round_down(F64x8 a) { return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
// x · 2^n; n is an integer from -1021 to 0, and the result no subnormal.
TESSERAE_INLINE F64x8 mul_power_of_2(F64x8 x, F64x8 n) { return _mm512_scalef_pd(x, n); }

// Comparisons and choices.
TESSERAE_INLINE Mask16 compare_less(F32x16 a, F32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
TESSERAE_INLINE Mask16 compare_equal(F32x16 a, F32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
TESSERAE_INLINE Mask16 compare_at_least(F32x16 a, F32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
TESSERAE_INLINE Mask16 compare_unordered(F32x16 a, F32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
TESSERAE_INLINE Mask8 compare_less(F64x8 a, F64x8 b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
TESSERAE_INLINE Mask8 compare_equal(F64x8 a, F64x8 b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
TESSERAE_INLINE Mask8 compare_at_least(F64x8 a, F64x8 b) { return _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ); }
TESSERAE_INLINE F32x16 blend(F32x16 a, F32x16 b, Mask16 mask) { return _mm512_mask_blend_ps(mask, a, b); }
TESSERAE_INLINE F64x8 blend(F64x8 a, F64x8 b, Mask8 mask) { return _mm512_mask_blend_pd(mask, a, b); }
TESSERAE_INLINE F32x16 blend(F32x16 a, F32x16 b, F32x16 mask) {
  return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(mask)), a, b);
}
TESSERAE_INLINE int sign_bits(Mask16 mask) { return mask; }
TESSERAE_INLINE int sign_bits(Mask8 mask) { return mask; }
TESSERAE_INLINE Mask16 bit_and(Mask16 a, Mask16 b) { return static_cast<Mask16>(a & b); }
TESSERAE_INLINE Mask16 bit_or(Mask16 a, Mask16 b) { return static_cast<Mask16>(a | b); }
TESSERAE_INLINE Mask8 bit_and(Mask8 a, Mask8 b) { return static_cast<Mask8>(a & b); }
TESSERAE_INLINE Mask8 bit_or(Mask8 a, Mask8 b) { return static_cast<Mask8>(a | b); }
// v in the lanes of the mask, or in the other ones, and 0 elsewhere.
TESSERAE_INLINE F32x16 bit_and(Mask16 mask, F32x16 v) { return _mm512_maskz_mov_ps(mask, v); }
TESSERAE_INLINE F32x16 and_not(Mask16 mask, F32x16 v) { return _mm512_maskz_mov_ps(static_cast<Mask16>(~mask), v); }
TESSERAE_INLINE F64x8 bit_and(Mask8 mask, F64x8 v) { return _mm512_maskz_mov_pd(mask, v); }

// Bits. and_not(a, b) is ~a & b.
TESSERAE_INLINE F32x16 bit_and(F32x16 a, F32x16 b) { return _mm512_and_ps(a, b); }
TESSERAE_INLINE F32x16 bit_or(F32x16 a, F32x16 b) { return _mm512_or_ps(a, b); }
TESSERAE_INLINE F32x16 bit_xor(F32x16 a, F32x16 b) { return _mm512_xor_ps(a, b); }
TESSERAE_INLINE F32x16 and_not(F32x16 a, F32x16 b) { return _mm512_andnot_ps(a, b); }
TESSERAE_INLINE F64x8 and_not(F64x8 a, F64x8 b) { return _mm512_andnot_pd(a, b); }
TESSERAE_INLINE Bits512 bit_and(Bits512 a, Bits512 b) { return _mm512_and_si512(a, b); }
TESSERAE_INLINE Bits512 bit_or(Bits512 a, Bits512 b) { return _mm512_or_si512(a, b); }
TESSERAE_INLINE Bits512 bits_of(F32x16 v) { return _mm512_castps_si512(v); }
TESSERAE_INLINE Bits512 bits_of(F64x8 v) { return _mm512_castpd_si512(v); }
TESSERAE_INLINE F32x16 as_f32(Bits512 v) { return _mm512_castsi512_ps(v); }
TESSERAE_INLINE F64x8 as_f64(Bits512 v) { return _mm512_castsi512_pd(v); }

// Integers.
TESSERAE_INLINE Bits512 add_i32(Bits512 a, Bits512 b) { return _mm512_add_epi32(a, b); }
TESSERAE_INLINE Bits512 add_i64(Bits512 a, Bits512 b) { return _mm512_add_epi64(a, b); }
TESSERAE_INLINE Bits512 sub_i32(Bits512 a, Bits512 b) { return _mm512_sub_epi32(a, b); }
TESSERAE_INLINE Bits512 shift_left_i32(Bits512 a, int n) { return _mm512_slli_epi32(a, static_cast<unsigned>(n)); }
TESSERAE_INLINE Bits512 shift_left_i64(Bits512 a, int n) { return _mm512_slli_epi64(a, static_cast<unsigned>(n)); }
TESSERAE_INLINE Bits512 shift_right_u32(Bits512 a, int n) { return _mm512_srli_epi32(a, static_cast<unsigned>(n)); }
TESSERAE_INLINE Bits512 shift_right_i32(Bits512 a, int n) { return _mm512_srai_epi32(a, static_cast<unsigned>(n)); }

// Conversions.
TESSERAE_INLINE F32x16 i32_to_f32(Bits512 v) { return _mm512_cvtepi32_ps(v); }
TESSERAE_INLINE F32x16 f16_to_f32(Bits256 v) { return _mm512_cvtph_ps(v); }
TESSERAE_INLINE Bits512 u16_to_i32(Bits256 v) { return _mm512_cvtepu16_epi32(v); }
TESSERAE_INLINE Bits256 lower_u16(Bits512 v) { return _mm512_cvtepi32_epi16(v); }  // the lower half of each 32-bit lane

// Moves of lanes. Halves have 256 bits, quarters 128.
TESSERAE_INLINE F32x8 low_half(F32x16 v) { return _mm512_castps512_ps256(v); }
TESSERAE_INLINE F32x8 high_half(F32x16 v) { return _mm512_extractf32x8_ps(v, 1); }
TESSERAE_INLINE F32x16 join(F32x8 low, F32x8 high) { return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1); }
TESSERAE_INLINE F32x16 low_pairs(F32x16 a, F32x16 b) { return _mm512_shuffle_ps(a, b, 0x44); }
TESSERAE_INLINE F32x16 high_pairs(F32x16 a, F32x16 b) { return _mm512_shuffle_ps(a, b, 0xee); }
TESSERAE_INLINE F32x16 interleave_low(F32x16 a, F32x16 b) { return _mm512_unpacklo_ps(a, b); }
TESSERAE_INLINE F32x16 interleave_high(F32x16 a, F32x16 b) { return _mm512_unpackhi_ps(a, b); }
TESSERAE_INLINE F32x16 swap_neighbours(F32x16 v) { return _mm512_permute_ps(v, 0xb1); }  // 1 0 3 2 ...
// Quarters 0 and 2 of a, then of b; quarters 1 and 3.
TESSERAE_INLINE F32x16 even_quarters(F32x16 a, F32x16 b) { return _mm512_shuffle_f32x4(a, b, 0x88); }
TESSERAE_INLINE F32x16 odd_quarters(F32x16 a, F32x16 b) { return _mm512_shuffle_f32x4(a, b, 0xdd); }

TESSERAE_INLINE double sum_lanes(F64x8 v) { return _mm512_reduce_add_pd(v); }

#ifdef __AVX512VNNI__
TESSERAE_INLINE Bits512 dot_quad(Bits512 sum, Bits512 codes, Bits512 x) { return _mm512_dpbusd_epi32(sum, codes, x); }
#endif

TESSERAE_INLINE void keep_in_register(Bits512& sum) { asm("" : "+v"(sum)); }
TESSERAE_INLINE void keep_in_register(F64x8& sum) { asm volatile("" : "+v"(sum)); }

}  // namespace TESSERAE_ISA
}  // namespace tesserae
