// Vectors of doubles and floats for sample, with AVX-512. simd/sample_lanes.h has the same functions with AVX2.
// Included by avx512/sample.cpp.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>

#include "kernels/simd/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

struct SampleLanes {
  using Doubles = __m512d;
  using Mask = __mmask8;
  static constexpr int64_t kCount = 8;
  static constexpr int kVectors = 8;  // in a group
  static constexpr bool kSumsAtOnce = true;  // see SumInOrder

  static Doubles set(double x) { return _mm512_set1_pd(x); }
  static Doubles load(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
  static Doubles load(const double* p) { return _mm512_loadu_pd(p); }
  static void store(double* p, Doubles x) { _mm512_storeu_pd(p, x); }
  static Doubles floor(Doubles x) { return _mm512_roundscale_pd(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  static Doubles absolute(Doubles x) { return _mm512_abs_pd(x); }
  static Doubles at_most(Doubles x, double limit) { return _mm512_min_pd(x, _mm512_set1_pd(limit)); }
  // first, first + 1 and so on.
  static Doubles counted(int64_t first) {
    return _mm512_add_pd(_mm512_set1_pd(static_cast<double>(first)), _mm512_setr_pd(0, 1, 2, 3, 4, 5, 6, 7));
  }

  static Mask less(Doubles a, Doubles b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
  static Mask at_least(Doubles a, Doubles b) { return _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ); }
  static Mask equal(Doubles a, Doubles b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
  static Mask both(Mask a, Mask b) { return a & b; }
  static Mask either(Mask a, Mask b) { return a | b; }
  static Mask none() { return 0; }
  static bool any(Mask mask) { return mask != 0; }
  static uint32_t bits(Mask mask) { return mask; }
  // 0 in the lanes that are not set.
  static Doubles keep(Mask mask, Doubles x) { return _mm512_maskz_mov_pd(mask, x); }
  static Doubles choose(Mask mask, Doubles set, Doubles others) { return _mm512_mask_mov_pd(others, mask, set); }

  // x · 2^n; n is an integer from -1021 to 0, and the result no subnormal.
  static Doubles scale(Doubles x, Doubles n) { return _mm512_scalef_pd(x, n); }
  static Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return _mm512_fmadd_pd(a, b, c); }
  // The same, with n in the lowest bits of `shifted`.
  static Doubles scale_by_bits(Doubles x, Doubles shifted) {
    const __m512i exponent = _mm512_slli_epi64(_mm512_castpd_si512(shifted), 52);
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(x), exponent));
  }
  // Rounds towards 0.
  static void store_integers(int32_t* p, Doubles x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvttpd_epi32(x));
  }
  // Writes a Candidate for each lane that is set, in order, and returns their number. Overwrites memory for kCount of
  // them.
  static int64_t append(void* pairs, Mask mask, const float* values, int64_t first) {
    const __m512i lanes = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i ids = _mm512_add_epi64(_mm512_set1_epi64(first), lanes);
    const __m512i value_bits = _mm512_cvtepu32_epi64(_mm256_castps_si256(_mm256_loadu_ps(values)));
    const __m512i all = _mm512_or_si512(value_bits, _mm512_slli_epi64(ids, 32));
    // Compressed in a register: compressing to memory is slow on Zen 4.
    _mm512_storeu_si512(pairs, _mm512_maskz_compress_epi64(mask, all));
    return __builtin_popcount(mask);
  }
  static double sum(Doubles x) { return _mm512_reduce_add_pd(x); }
};

struct SampleFloats {
  // As in ScalarSampling.
  static void forbid(float* values, uint32_t bits) {
    const __m512 least = _mm512_set1_ps(-INFINITY);
    _mm512_mask_storeu_ps(values, static_cast<__mmask16>(~bits), least);
    _mm512_mask_storeu_ps(values + 16, static_cast<__mmask16>(~bits >> 16), least);
  }
  static bool none_reach(const float* values, float least) {
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(values), _mm512_set1_ps(least), _CMP_GE_OQ) == 0;
  }
  // The highest value, or NaN if any is NaN. `count` is a multiple of 32.
  static float highest(const float* values, int64_t count) {
    __m512 first = _mm512_set1_ps(-INFINITY);
    __m512 second = first;
    __mmask16 unordered = 0;
    for (int64_t i = 0; i < count; i += 32) {
      const __m512 a = _mm512_loadu_ps(values + i);
      const __m512 b = _mm512_loadu_ps(values + i + 16);
      unordered |= _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
      first = _mm512_max_ps(a, first);
      second = _mm512_max_ps(b, second);
    }
    return unordered != 0 ? NAN : _mm512_reduce_max_ps(_mm512_max_ps(first, second));
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae
