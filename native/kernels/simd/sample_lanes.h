// Vectors of doubles and floats for sample. Included by simd/sample.cpp.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/simd/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

struct SampleLanes {
  using Doubles = tesserae::Doubles;
  using Mask = DoublesMask;
  static constexpr int64_t kCount = kDoubles;
  static constexpr int kVectors = kRegisters / 4;  // in a group
  static constexpr bool kSumsAtOnce = kRegisters == 32;  // see SumInOrder

  static Doubles set(double x) { return doubles(x); }
  static Doubles load(const float* p) { return load_doubles(p); }
  static Doubles load(const double* p) { return load_doubles(p); }
  static void store(double* p, Doubles x) { store_doubles(p, x); }
  static Doubles floor(Doubles x) { return round_down(x); }
  static Doubles absolute(Doubles x) { return and_not(doubles(-0.0), x); }
  static Doubles at_most(Doubles x, double limit) { return min(x, doubles(limit)); }
  // first, first + 1 and so on.
  static Doubles counted(int64_t first) { return add(doubles(static_cast<double>(first)), double_numbers()); }

  static Mask less(Doubles a, Doubles b) { return compare_less(a, b); }
  static Mask at_least(Doubles a, Doubles b) { return compare_at_least(a, b); }
  static Mask equal(Doubles a, Doubles b) { return compare_equal(a, b); }
  static Mask both(Mask a, Mask b) { return bit_and(a, b); }
  static Mask either(Mask a, Mask b) { return bit_or(a, b); }
  static Mask none() { return Mask(); }
  static bool any(Mask mask) { return sign_bits(mask) != 0; }
  static uint32_t bits(Mask mask) { return static_cast<uint32_t>(sign_bits(mask)); }
  // 0 in the lanes that are not set.
  static Doubles keep(Mask mask, Doubles x) { return bit_and(mask, x); }
  static Doubles choose(Mask mask, Doubles set, Doubles others) { return blend(others, set, mask); }

  // x · 2^n; n is an integer from -1021 to 0, and the result no subnormal.
  static Doubles scale(Doubles x, Doubles n) { return mul_power_of_2(x, n); }
  static Doubles multiply_add(Doubles a, Doubles b, Doubles c) { return fma(a, b, c); }
  // The same, with n in the lowest bits of `shifted`.
  static Doubles scale_by_bits(Doubles x, Doubles shifted) {
    return as_f64(add_i64(bits_of(x), shift_left_i64(bits_of(shifted), 52)));
  }
  // Rounds towards 0.
  static void store_integers(int32_t* p, Doubles x) { store_as_i32(p, x); }
  // Writes a Candidate for each lane that is set, in order, and returns their number. Overwrites memory for kCount of
  // them.
  static int64_t append(void* pairs, Mask mask, const float* values, int64_t first) {
    store_compressed_i64(pairs, mask, bit_or(load_u32_as_i64(values), shift_left_i64(numbers_i64(first), 32)));
    return __builtin_popcount(bits(mask));
  }
  static double sum(Doubles x) { return sum_lanes(x); }
};

struct SampleFloats {
  // As in ScalarSampling.
  static void forbid(float* values, uint32_t bits) {
    for (int64_t i = 0; i < 32; i += kFloats) {
      store_vector(values + i, blend(splat<Floats>(-INFINITY), load_vector<Floats>(values + i), mask_of(bits >> i)));
    }
  }
  static bool none_reach(const float* values, float least) {
    const Floats limit = splat<Floats>(least);
    Floats highest = load_vector<Floats>(values);
    if (kFloats == 8) highest = max(highest, load_vector<Floats>(values + 8));
    return sign_bits(compare_at_least(highest, limit)) == 0;
  }
  // The highest value, or NaN if any is NaN. `count` is a multiple of 32.
  static float highest(const float* values, int64_t count) {
    constexpr int vectors = 32 / kFloats;
    Floats highest[vectors];
    for (Floats& h : highest) h = splat<Floats>(-INFINITY);
    auto unordered = compare_unordered(highest[0], highest[0]);
    for (int64_t i = 0; i < count; i += 32) {
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) {
        const Floats value = load_vector<Floats>(values + i + kFloats * j);
        unordered = bit_or(unordered, compare_unordered(value, value));
        highest[j] = max(value, highest[j]);
      }
    }
    if (sign_bits(unordered) != 0) return NAN;
    for (int j = 1; j < vectors; ++j) highest[0] = max(highest[0], highest[j]);
    return max_lanes(highest[0]);
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae
