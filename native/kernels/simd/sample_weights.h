// Weights of tokens in vectors: exp, exact or nearly so; the rule that says which tokens are left; passes over the
// vocabulary. Included by sample_sums.h.
#pragma once

#include "kernels/sample_exact.h"

namespace tesserae {
inline namespace TESSERAE_ISA {
namespace {

using Doubles = SampleLanes::Doubles;
using Mask = SampleLanes::Mask;
using FastValues = RowValues<SampleFloats>;

constexpr int kVectors = SampleLanes::kVectors;
constexpr int64_t kGroup = kVectors * SampleLanes::kCount;
static_assert(kSampleBlock % kGroup == 0, "a block is whole groups");

// portable_exp of numbers from -708 to 0, to the bit: without FMA. Several vectors at a time hide the latency.
TESSERAE_INLINE void exp_group(const Doubles (&x)[kVectors], Doubles (&result)[kVectors]) {
  using L = SampleLanes;
  Doubles power[kVectors], rest[kVectors], sum[kVectors];
#pragma GCC unroll 8
  for (int j = 0; j < kVectors; ++j) {
    power[j] = L::floor(x[j] * L::set(kLog2E) + L::set(0.5));
    rest[j] = x[j] - power[j] * L::set(kLn2High) - power[j] * L::set(kLn2Low);
    sum[j] = L::set(kExpCoefficients[0]);
  }
#pragma GCC unroll 13
  for (int n = 1; n < 14; ++n) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      sum[j] = sum[j] * rest[j] + L::set(kExpCoefficients[n]);
      keep_in_register(sum[j]);  // else GCC computes one vector after the other
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < kVectors; ++j) result[j] = L::scale(sum[j], power[j]);
}

// The same with FMA and a shorter polynomial. The relative error is below 2^-40: the first term left out is at most
// 0.3466^11 / 11! < 2^-42; x, the range reduction and the sums add their rounding.
TESSERAE_INLINE void near_exp_group(const Doubles (&x)[kVectors], Doubles (&result)[kVectors]) {
  using L = SampleLanes;
  const Doubles round_to_integer = L::set(0x1.8p52);  // adding it rounds to an integer, in the low bits
  Doubles shifted[kVectors], rest[kVectors];
#pragma GCC unroll 8
  for (int j = 0; j < kVectors; ++j) {
    shifted[j] = L::multiply_add(x[j], L::set(kLog2E), round_to_integer);
    rest[j] = L::multiply_add(shifted[j] - round_to_integer, L::set(-0.69314718055994530942), x[j]);
    result[j] = L::set(kExpCoefficients[3]);
  }
#pragma GCC unroll 10
  for (int n = 4; n < 14; ++n) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      result[j] = L::multiply_add(result[j], rest[j], L::set(kExpCoefficients[n]));
      keep_in_register(result[j]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < kVectors; ++j) result[j] = L::scale_by_bits(result[j], shifted[j]);
}

// The tokens that the filters applied so far have left.
struct Rule {
  bool is_typical = false;
  MoreTypical more_typical = {};
  Candidate least_typical = {};
  bool is_cut = false;
  Candidate least_likely = {};
  double least_value = -INFINITY;

  bool takes_all() const { return !is_typical && !is_cut && least_value == -INFINITY; }

  Mask passes(Doubles value, int64_t first) const {
    using L = SampleLanes;
    Mask passes = L::at_least(value, L::set(least_value));
    if (is_cut) passes = L::both(passes, in_order(value, least_likely.value, first, least_likely.id));
    if (is_typical) {
      const double last = more_typical.key(least_typical.value);
      passes = L::both(passes, in_order(typical_key(more_typical, value), last, first, least_typical.id));
    }
    return passes;
  }

  static Doubles typical_key(const MoreTypical& typical, Doubles value) {
    using L = SampleLanes;
    const Doubles highest = L::set(typical.highest);
    const Mask has_weight = L::at_least(value - highest, L::set(kSmallestExponent));
    const Doubles distance = L::absolute(highest - value - L::set(typical.expected));
    return L::choose(has_weight, L::set(0) - distance, L::set(-INFINITY));
  }

 private:
  // Keys larger than the last one, or equal to it with an id that is not larger.
  static Mask in_order(Doubles key, double last_key, int64_t first, int64_t last_id) {
    using L = SampleLanes;
    const Doubles last = L::set(last_key);
    const Mask has_id = L::less(L::counted(first), L::set(static_cast<double>(last_id) + 1));
    return L::either(L::less(last, key), L::both(L::equal(key, last), has_id));
  }
};

struct WeightGroup {
  int64_t first;
  const float* floats;  // the same values
  Doubles value[kVectors];
  Doubles weight[kVectors];  // 0 for tokens that the rule removes
};

// Weights are e^((value - highest) / temperature).
struct Softmax {
  double highest;
  double temperature;
};

// A weight of a smaller power than this does not change the sum `total`: it is less than half of the last place, since
// e^-37.5 < 2^-54. The logarithm is that of the power of two below the total.
static inline double negligible_power(double total) {
  if (!(total > 0)) return kSmallestExponent;
  return std::max(kSmallestExponent, std::ilogb(total) * kLn2High - 37.5);
}

struct Tokens {
  const FastValues& values;
  float* buffer;
  Rule rule;
};

// `first` is a multiple of kSampleBlock. `stride` is the distance of groups: kGroup or, for a sample, more.
struct Range {
  int64_t first;
  int64_t end;
  int64_t stride;
};

// Calls visit.group(group) for the groups of a range, and visit.begin_block(first) before those of each block. That
// returns the least power that matters, at least -708: weights of smaller powers are set to 0. Groups of zeros are left
// out. kNear: the weights have the error of near_exp_group.
template <bool kFiltered, bool kNear, typename Visit>
TESSERAE_INLINE void each_group(const Tokens& tokens, Softmax softmax, Range range, Visit&& visit) {
  using L = SampleLanes;
  const Doubles highest = L::set(softmax.highest);
  const Doubles temperature = L::set(softmax.temperature);
  const Doubles per_temperature = L::set(1 / softmax.temperature);
  const bool is_divided = softmax.temperature != 1;
  int64_t next = range.first;
  for (int64_t block = range.first; block < range.end; block += kSampleBlock) {
    const int64_t end = std::min(block + kSampleBlock, range.end);
    if (next >= end) continue;
    const Doubles least = L::set(visit.begin_block(block));
    const float* of_block = tokens.values.read(block, tokens.buffer);
    for (; next < end; next += range.stride) {
      WeightGroup group;
      Doubles power[kVectors];
      Mask is_kept[kVectors];
      Mask is_any = L::none();
      group.first = next;
      group.floats = of_block + (next - block);
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) {
        group.value[j] = L::load(group.floats + j * L::kCount);
        power[j] = group.value[j] - highest;
        if (kNear) power[j] = power[j] * per_temperature;
        else if (is_divided) power[j] = power[j] / temperature;
        is_kept[j] = L::at_least(power[j], least);
        if (kFiltered) is_kept[j] = L::both(is_kept[j], tokens.rule.passes(group.value[j], next + j * L::kCount));
        is_any = L::either(is_any, is_kept[j]);
      }
      if (!L::any(is_any)) continue;
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) power[j] = L::keep(is_kept[j], power[j]);
      if (kNear) near_exp_group(power, group.weight);
      else exp_group(power, group.weight);
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) group.weight[j] = L::keep(is_kept[j], group.weight[j]);
      visit.group(group);
    }
  }
}

// Calls visit(index, weight) for a list.
template <typename Visit>
TESSERAE_INLINE void each_weight(const Candidate* list, int64_t count, Softmax softmax, Visit&& visit) {
  using L = SampleLanes;
  alignas(64) double weights[kGroup];
  for (int64_t from = 0; from < count; from += kGroup) {
    const int64_t size = std::min(kGroup, count - from);
    for (int64_t i = 0; i < kGroup; ++i) weights[i] = list[from + std::min(i, size - 1)].value;
    Doubles power[kVectors], weight[kVectors];
    for (int j = 0; j < kVectors; ++j) {
      power[j] = (L::load(weights + j * L::kCount) - L::set(softmax.highest)) / L::set(softmax.temperature);
    }
    Mask is_kept[kVectors];
    for (int j = 0; j < kVectors; ++j) {
      is_kept[j] = L::at_least(power[j], L::set(kSmallestExponent));
      power[j] = L::keep(is_kept[j], power[j]);
    }
    exp_group(power, weight);
    for (int j = 0; j < kVectors; ++j) L::store(weights + j * L::kCount, L::keep(is_kept[j], weight[j]));
    for (int64_t i = 0; i < size; ++i) visit(from + i, weights[i]);
  }
}

}  // namespace
}  // namespace TESSERAE_ISA
}  // namespace tesserae
