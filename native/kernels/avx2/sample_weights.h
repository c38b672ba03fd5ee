// Weights of many tokens at once for the vector kernels of sample: the rule of which tokens are left, passes over the
// vocabulary in groups of vectors, and exp with the bits of portable_exp. Included by sample_fast.h.
#pragma once

#include "kernels/sample_exact.h"

namespace tesserae {
inline namespace TESSERAE_ISA {
namespace {

using Doubles = SampleLanes::Doubles;
using Mask = SampleLanes::Mask;
using FastValues = RowValues<SampleFloats>;

constexpr int kVectors = 4;
constexpr int64_t kGroup = kVectors * SampleLanes::kCount;
static_assert(kSampleBlock % kGroup == 0, "a block is whole groups");

// portable_exp of each, of numbers from -708 to 0. No FMA. The vectors are independent, which hides the latency.
TESSERAE_INLINE void exp_group(const Doubles (&x)[kVectors], Doubles (&result)[kVectors]) {
  using L = SampleLanes;
  Doubles power[kVectors], rest[kVectors], sum[kVectors];
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) {
    power[j] = L::floor(x[j] * L::set(kLog2E) + L::set(0.5));
    rest[j] = x[j] - power[j] * L::set(kLn2High) - power[j] * L::set(kLn2Low);
    sum[j] = L::set(kExpCoefficients[0]);
  }
#pragma GCC unroll 13
  for (int n = 1; n < 14; ++n) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      sum[j] = sum[j] * rest[j] + L::set(kExpCoefficients[n]);
      asm volatile("" : "+v"(sum[j]));  // or GCC would compute one vector after the other
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) result[j] = L::scale(sum[j], power[j]);
}

// Which tokens the filters so far have left.
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
  // Of a larger key than the last, or of the same and no larger id.
  static Mask in_order(Doubles key, double last_key, int64_t first, int64_t last_id) {
    using L = SampleLanes;
    const Doubles last = L::set(last_key);
    const Mask has_id = L::less(L::counted(first), L::set(static_cast<double>(last_id) + 1));
    return L::either(L::less(last, key), L::both(L::equal(key, last), has_id));
  }
};

struct WeightGroup {
  int64_t first;
  Doubles value[kVectors];
  Doubles weight[kVectors];  // 0 for tokens that the rule takes away
};

// A softmax that is not scaled: e^((value - highest) / temperature).
struct Softmax {
  double highest;
  double temperature;
};

// Below this power a weight leaves the sum `total` as it is: it is less than half of its last place. e^-37.5 < 2^-54; the
// logarithm is that of the power of two below the total.
static inline double negligible_power(double total) {
  if (!(total > 0)) return kSmallestExponent;
  return std::max(kSmallestExponent, std::ilogb(total) * kLn2High - 37.5);
}

// Calls visit.group(group) for the tokens of blocks [first, end), group by group, but for groups all of whose powers are
// below visit.begin_block(first), which is called for each block and gives -708 at least, or which the rule takes away.
template <bool kFiltered, typename Visit>
TESSERAE_INLINE void each_group(const FastValues& values, float* buffer, const Rule& rule, Softmax softmax, int64_t first,
                                int64_t end, Visit&& visit) {
  using L = SampleLanes;
  const Doubles highest = L::set(softmax.highest);
  const Doubles temperature = L::set(softmax.temperature);
  const bool is_divided = softmax.temperature != 1;
  for (int64_t block = first; block < end; block += kSampleBlock) {
    const Doubles least = L::set(visit.begin_block(block));
    const float* of_block = values.read(block, buffer);
    const int64_t count = std::min(kSampleBlock, end - block);
    for (int64_t i = 0; i < count; i += kGroup) {
      WeightGroup group;
      Doubles power[kVectors];
      Mask is_kept[kVectors];
      Mask is_any = L::none();
      group.first = block + i;
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        group.value[j] = L::load(of_block + i + j * L::kCount);
        power[j] = group.value[j] - highest;
        if (is_divided) power[j] = power[j] / temperature;
        is_kept[j] = L::at_least(power[j], least);
        if (kFiltered) is_kept[j] = L::both(is_kept[j], rule.passes(group.value[j], group.first + j * L::kCount));
        is_any = L::either(is_any, is_kept[j]);
      }
      if (!L::any(is_any)) continue;
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) power[j] = L::keep(is_kept[j], power[j]);
      exp_group(power, group.weight);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) group.weight[j] = L::keep(is_kept[j], group.weight[j]);
      visit.group(group);
    }
  }
}

// The weights of a list, for sums that need not be in order.
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
