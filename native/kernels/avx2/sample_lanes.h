// Vectors of doubles and floats for sample, with AVX2. avx512/sample_lanes.h has the same functions with AVX-512.
// Included by avx2/sample.cpp.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>

#include "kernels/avx2/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

struct SampleLanes {
  using Doubles = __m256d;
  using Mask = __m256d;
  static constexpr int64_t kCount = 4;
  static constexpr int kVectors = 4;  // in a group
  static constexpr bool kSumsAtOnce = false;  // see SumInOrder

  static Doubles set(double x) { return _mm256_set1_pd(x); }
  static Doubles load(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  static Doubles load(const double* p) { return _mm256_loadu_pd(p); }
  static void store(double* p, Doubles x) { _mm256_storeu_pd(p, x); }
  static Doubles floor(Doubles x) { return _mm256_floor_pd(x); }
  static Doubles absolute(Doubles x) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), x); }
  static Doubles at_most(Doubles x, double limit) { return _mm256_min_pd(x, _mm256_set1_pd(limit)); }
  // first, first + 1 and so on.
  static Doubles counted(int64_t first) {
    return _mm256_add_pd(_mm256_set1_pd(static_cast<double>(first)), _mm256_setr_pd(0, 1, 2, 3));
  }

  static Mask less(Doubles a, Doubles b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
  static Mask at_least(Doubles a, Doubles b) { return _mm256_cmp_pd(a, b, _CMP_GE_OQ); }
  static Mask equal(Doubles a, Doubles b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
  static Mask both(Mask a, Mask b) { return _mm256_and_pd(a, b); }
  static Mask either(Mask a, Mask b) { return _mm256_or_pd(a, b); }
  static Mask none() { return _mm256_setzero_pd(); }
  static bool any(Mask mask) { return _mm256_movemask_pd(mask) != 0; }
  static uint32_t bits(Mask mask) { return static_cast<uint32_t>(_mm256_movemask_pd(mask)); }
  // 0 in the lanes that are not set.
  static Doubles keep(Mask mask, Doubles x) { return _mm256_and_pd(mask, x); }
  static Doubles choose(Mask mask, Doubles set, Doubles others) { return _mm256_blendv_pd(others, set, mask); }

  // x · 2^n; n is an integer from -1021 to 0, and the result no subnormal.
  static Doubles scale(Doubles x, Doubles n) {
    // Added to 2^52, the biased exponent is in the lowest bits.
    const Doubles biased = _mm256_add_pd(n, _mm256_set1_pd(0x1p52 + 1023));
    return _mm256_mul_pd(x, _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(biased), 52)));
  }
  static Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return _mm256_fmadd_pd(a, b, c); }
  // The same, with n in the lowest bits of `shifted`.
  static Doubles scale_by_bits(Doubles x, Doubles shifted) {
    const __m256i exponent = _mm256_slli_epi64(_mm256_castpd_si256(shifted), 52);
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x), exponent));
  }
  // Rounds towards 0.
  static void store_integers(int32_t* p, Doubles x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvttpd_epi32(x));
  }
  // Writes a Candidate for each lane that is set, in order, and returns their number. Overwrites memory for kCount of
  // them.
  static int64_t append(void* pairs, Mask mask, const float* values, int64_t first) {
    // For each set of lanes the dwords of their pairs, in order.
    alignas(32) static constexpr int32_t kOrder[16][8] = {
        {0, 0, 0, 0, 0, 0, 0, 0}, {0, 1, 0, 0, 0, 0, 0, 0}, {2, 3, 0, 0, 0, 0, 0, 0}, {0, 1, 2, 3, 0, 0, 0, 0},
        {4, 5, 0, 0, 0, 0, 0, 0}, {0, 1, 4, 5, 0, 0, 0, 0}, {2, 3, 4, 5, 0, 0, 0, 0}, {0, 1, 2, 3, 4, 5, 0, 0},
        {6, 7, 0, 0, 0, 0, 0, 0}, {0, 1, 6, 7, 0, 0, 0, 0}, {2, 3, 6, 7, 0, 0, 0, 0}, {0, 1, 2, 3, 6, 7, 0, 0},
        {4, 5, 6, 7, 0, 0, 0, 0}, {0, 1, 4, 5, 6, 7, 0, 0}, {2, 3, 4, 5, 6, 7, 0, 0}, {0, 1, 2, 3, 4, 5, 6, 7}};
    const __m256i ids = _mm256_add_epi64(_mm256_set1_epi64x(first), _mm256_setr_epi64x(0, 1, 2, 3));
    const __m256i value_bits = _mm256_cvtepu32_epi64(_mm_castps_si128(_mm_loadu_ps(values)));
    const __m256i all = _mm256_or_si256(value_bits, _mm256_slli_epi64(ids, 32));
    const uint32_t set = bits(mask);
    const __m256i order = _mm256_load_si256(reinterpret_cast<const __m256i*>(kOrder[set]));
    _mm256_storeu_si256(static_cast<__m256i*>(pairs), _mm256_permutevar8x32_epi32(all, order));
    return __builtin_popcount(set);
  }
  static double sum(Doubles x) {
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

struct SampleFloats {
  // As in ScalarSampling.
  static void forbid(float* values, uint32_t bits) {
    const __m256i lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    for (int i = 0; i < 32; i += 8) {
      const __m256i of_lanes = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits >> i)), lane_bits);
      const __m256 is_allowed = _mm256_castsi256_ps(_mm256_cmpeq_epi32(of_lanes, lane_bits));
      const __m256 value = _mm256_loadu_ps(values + i);
      _mm256_storeu_ps(values + i, _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), value, is_allowed));
    }
  }
  static bool none_reach(const float* values, float least) {
    const __m256 limit = _mm256_set1_ps(least);
    const __m256 highest = _mm256_max_ps(_mm256_loadu_ps(values), _mm256_loadu_ps(values + 8));
    return _mm256_movemask_ps(_mm256_cmp_ps(highest, limit, _CMP_GE_OQ)) == 0;
  }
  // The highest value, or NaN if any is NaN. `count` is a multiple of 32.
  static float highest(const float* values, int64_t count) {
    __m256 highest[4];
    for (__m256& h : highest) h = _mm256_set1_ps(-INFINITY);
    __m256 unordered = _mm256_setzero_ps();
    for (int64_t i = 0; i < count; i += 32) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const __m256 value = _mm256_loadu_ps(values + i + 8 * j);
        unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
        highest[j] = _mm256_max_ps(value, highest[j]);
      }
    }
    if (_mm256_movemask_ps(unordered) != 0) return NAN;
    const __m256 of_all = _mm256_max_ps(_mm256_max_ps(highest[0], highest[1]), _mm256_max_ps(highest[2], highest[3]));
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(of_all), _mm256_extractf128_ps(of_all, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae
