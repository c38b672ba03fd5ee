// Vectors of doubles and floats for sample, four and eight lanes. avx512/sample_lanes.h has the same functions with AVX-512.
// Included by simd/sample.cpp.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/simd/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

struct SampleLanes {
  using Doubles = F64x4;
  using Mask = F64x4;
  static constexpr int64_t kCount = 4;
  static constexpr int kVectors = 4;  // in a group
  static constexpr bool kSumsAtOnce = false;  // see SumInOrder

  static Doubles set(double x) { return f64x4(x); }
  static Doubles load(const float* p) { return f32_to_f64(load_f32x4(p)); }
  static Doubles load(const double* p) { return load_f64x4(p); }
  static void store(double* p, Doubles x) { store_f64x4(p, x); }
  static Doubles floor(Doubles x) { return round_down(x); }
  static Doubles absolute(Doubles x) { return and_not(f64x4(-0.0), x); }
  static Doubles at_most(Doubles x, double limit) { return min(x, f64x4(limit)); }
  // first, first + 1 and so on.
  static Doubles counted(int64_t first) {
    return add(f64x4(static_cast<double>(first)), f64x4(0, 1, 2, 3));
  }

  static Mask less(Doubles a, Doubles b) { return compare_less(a, b); }
  static Mask at_least(Doubles a, Doubles b) { return compare_at_least(a, b); }
  static Mask equal(Doubles a, Doubles b) { return compare_equal(a, b); }
  static Mask both(Mask a, Mask b) { return bit_and(a, b); }
  static Mask either(Mask a, Mask b) { return bit_or(a, b); }
  static Mask none() { return f64x4(0); }
  static bool any(Mask mask) { return sign_bits(mask) != 0; }
  static uint32_t bits(Mask mask) { return static_cast<uint32_t>(sign_bits(mask)); }
  // 0 in the lanes that are not set.
  static Doubles keep(Mask mask, Doubles x) { return bit_and(mask, x); }
  static Doubles choose(Mask mask, Doubles set, Doubles others) { return blend(others, set, mask); }

  // x · 2^n; n is an integer from -1021 to 0, and the result no subnormal.
  static Doubles scale(Doubles x, Doubles n) {
    // Added to 2^52, the biased exponent is in the lowest bits.
    const Doubles biased = add(n, f64x4(0x1p52 + 1023));
    return mul(x, as_f64(shift_left_i64(bits_of(biased), 52)));
  }
  static Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return fma(a, b, c); }
  // The same, with n in the lowest bits of `shifted`.
  static Doubles scale_by_bits(Doubles x, Doubles shifted) {
    const Bits256 exponent = shift_left_i64(bits_of(shifted), 52);
    return as_f64(add_i64(bits_of(x), exponent));
  }
  // Rounds towards 0.
  static void store_integers(int32_t* p, Doubles x) {
    store_bits128(p, f64_to_i32_towards_0(x));
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
    const Bits256 ids = add_i64(i64x4(first), i64x4(0, 1, 2, 3));
    const Bits256 value_bits = u32_to_i64(bits_of(load_f32x4(values)));
    const Bits256 all = bit_or(value_bits, shift_left_i64(ids, 32));
    const uint32_t set = bits(mask);
    const Bits256 order = load_aligned_bits256(kOrder[set]);
    store_bits256(pairs, permute_i32(all, order));
    return __builtin_popcount(set);
  }
  static double sum(Doubles x) { return sum_lanes(x); }
};

struct SampleFloats {
  // As in ScalarSampling.
  static void forbid(float* values, uint32_t bits) {
    const Bits256 lane_bits = i32x8(1, 2, 4, 8, 16, 32, 64, 128);
    for (int i = 0; i < 32; i += 8) {
      const Bits256 of_lanes = bit_and(i32x8(static_cast<int>(bits >> i)), lane_bits);
      const F32x8 is_allowed = as_f32(equal_i32(of_lanes, lane_bits));
      const F32x8 value = load_f32x8(values + i);
      store_f32x8(values + i, blend(f32x8(-INFINITY), value, is_allowed));
    }
  }
  static bool none_reach(const float* values, float least) {
    const F32x8 limit = f32x8(least);
    const F32x8 highest = max(load_f32x8(values), load_f32x8(values + 8));
    return sign_bits(compare_at_least(highest, limit)) == 0;
  }
  // The highest value, or NaN if any is NaN. `count` is a multiple of 32.
  static float highest(const float* values, int64_t count) {
    F32x8 highest[4];
    for (F32x8& h : highest) h = f32x8(-INFINITY);
    F32x8 unordered = f32x8(0);
    for (int64_t i = 0; i < count; i += 32) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const F32x8 value = load_f32x8(values + i + 8 * j);
        unordered = bit_or(unordered, compare_unordered(value, value));
        highest[j] = max(value, highest[j]);
      }
    }
    if (sign_bits(unordered) != 0) return NAN;
    const F32x8 of_all = max(max(highest[0], highest[1]), max(highest[2], highest[3]));
    return max_lanes(of_all);
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae
