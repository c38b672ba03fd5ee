// Visitors of each_group that sum up weights: in order, by blocks, by buckets of a histogram, or before a window of
// distances. A distance orders tokens as a filter does. Included by sample_fast.h.
#pragma once

#include "kernels/simd/sample_weights.h"

namespace tesserae {
inline namespace TESSERAE_ISA {
namespace {

constexpr int kBuckets = 2048;
constexpr double kBucketsPerNat = 128;

// How far a token is from the first one in the order of Likelier, and in that of MoreTypical (not ranked).
struct LikelyDistance {
  double highest;
  Doubles operator()(Doubles value) const { return SampleLanes::set(highest) - value; }
  double operator()(float value) const { return highest - value; }
  // A value that tokens nearer than `distance` reach; smaller than exact, for rounding.
  float least_value(double distance) const {
    return static_cast<float>(highest - distance - 1e-5 * (std::fabs(highest) + distance));
  }
};
struct TypicalDistance {
  MoreTypical typical;
  Doubles operator()(Doubles value) const { return SampleLanes::set(0) - Rule::typical_key(typical, value); }
  double operator()(float value) const { return -typical.key(value); }
  float least_value(double) const { return -INFINITY; }
};

// Sums of weights by distance. Bucket b starts at distance b / kBucketsPerNat; the last one has no end.
struct Histogram {
  double* weights;  // kBuckets

  void clear() const { std::fill_n(weights, kBuckets, 0.0); }

  static Doubles bucket_of(Doubles distance) {
    return SampleLanes::at_most(distance * SampleLanes::set(kBucketsPerNat), kBuckets - 1);
  }
  static int bucket_of(double distance) {
    return static_cast<int>(std::min(distance * kBucketsPerNat, kBuckets - 1.0));
  }
  // The end of a bucket, exclusive.
  static double end_of(int bucket) { return bucket == kBuckets - 1 ? INFINITY : (bucket + 1) / kBucketsPerNat; }

  double total() const {
    double total = 0;
    for (int b = 0; b < kBuckets; ++b) total += weights[b];
    return total;
  }

  // The first bucket in which the sum reaches the target, or -1. The buckets before it are added to `sum`.
  int find(double target, double& sum) const {
    for (int b = 0; b < kBuckets; ++b) {
      if (sum + weights[b] >= target) return b;
      sum += weights[b];
    }
    return -1;
  }
};

static inline double sum_of(const Doubles (&sums)[kVectors]) {
  Doubles sum = sums[0];
  for (int j = 1; j < kVectors; ++j) sum = sum + sums[j];
  return SampleLanes::sum(sum);
}

// The sum in the order of ids, rounded after each addition. `prefix`, if not null, gets the sum before each block.
//
// While the sum stays between a power of two and the next, each addition adds the weight rounded to the sum's last
// place: a multiple of it, unless the weight is half way between two, where the sum decides. Multiples add up exactly
// in any order. So a group is added at once, unless it has such a weight or brings the sum to the next power of two.
struct SumInOrder {
  double* prefix;
  double total = 0;
  double power_of_two = INFINITY;  // the one up to the total

  double begin_block(int64_t first) {
    if (prefix != nullptr) prefix[first / kSampleBlock] = total;
    return negligible_power(total);
  }
  TESSERAE_INLINE void group(const WeightGroup& group) {
    using L = SampleLanes;
    if (L::kSumsAtOnce && add_at_once(group.weight)) return;
    alignas(64) double weights[kGroup];
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) L::store(weights + j * L::kCount, group.weight[j]);
    asm volatile("" : "+m"(weights));  // else GCC takes the vectors apart by shuffles
    double sum = total;
#pragma GCC unroll 8
    for (int64_t i = 0; i < kGroup; ++i) sum += weights[i];
    total = sum;
    if (L::kSumsAtOnce && total > 0) power_of_two = std::ldexp(1.0, std::ilogb(total));
  }

 private:
  TESSERAE_INLINE bool add_at_once(const Doubles (&weights)[kVectors]) {
    using L = SampleLanes;
    const Doubles power = L::set(power_of_two);
    const Doubles half_place = L::set(power_of_two * 0x1p-53);
    Doubles rounded[kVectors];
    Mask is_half_way = L::none();
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      rounded[j] = (weights[j] + power) - power;
      is_half_way = L::either(is_half_way, L::equal(L::absolute(weights[j] - rounded[j]), half_place));
    }
    const double sum = total + sum_of(rounded);
    if (!(sum < 2 * power_of_two) || L::any(is_half_way)) return false;
    total = sum;
    return true;
  }
};

// The expected surprise: the sum of p · surprise in the order of ids.
struct SurpriseInOrder {
  double highest;
  double total;
  double expected = 0;

  double begin_block(int64_t) const { return kSmallestExponent; }
  TESSERAE_INLINE void group(const WeightGroup& group) {
    using L = SampleLanes;
    alignas(64) double terms[kGroup];
    for (int j = 0; j < kVectors; ++j) {
      const Mask has_weight = L::less(L::set(0), group.weight[j]);
      const Doubles term = group.weight[j] / L::set(total) * (L::set(highest) - group.value[j]);
      L::store(terms + j * L::kCount, L::keep(has_weight, term));
    }
    for (double term : terms) expected += term;
  }
};

// The sum in any order. `prefix` gets the sum before each block.
struct SumByBlocks {
  double* prefix;
  double total = 0;
  Doubles sums[kVectors] = {};

  double begin_block(int64_t first) {
    flush();
    prefix[first / kSampleBlock] = total;
    return kSmallestExponent;
  }
  TESSERAE_INLINE void group(const WeightGroup& group) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) sums[j] = sums[j] + group.weight[j];
  }
  void flush() {
    total += sum_of(sums);
    for (Doubles& sum : sums) sum = SampleLanes::set(0);
  }
};

template <typename Distance>
struct SumByBuckets {
  Histogram histogram;
  Distance distance;

  double begin_block(int64_t) const { return kSmallestExponent; }
  TESSERAE_INLINE void group(const WeightGroup& group) {
    alignas(64) double weights[kGroup];
    alignas(64) int32_t buckets[kGroup];
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      SampleLanes::store(weights + j * SampleLanes::kCount, group.weight[j]);
      SampleLanes::store_integers(buckets + j * SampleLanes::kCount, Histogram::bucket_of(distance(group.value[j])));
    }
    asm volatile("" : "+m"(weights), "+m"(buckets));
#pragma GCC unroll 8
    for (int64_t i = 0; i < kGroup; ++i) histogram.weights[buckets[i]] += weights[i];
  }
};

// For a sample: weights and numbers of tokens by buckets, and the sum of the squared weights. Without the highest token
// of each block.
struct SampleByBuckets {
  Histogram histogram;
  int32_t* counts;  // kBuckets
  LikelyDistance distance;
  const float* highest_of_blocks;
  float highest = 0;
  Doubles squares = {};

  double begin_block(int64_t first) {
    highest = highest_of_blocks[first / kSampleBlock];
    return kSmallestExponent;
  }
  TESSERAE_INLINE void group(const WeightGroup& group) {
    using L = SampleLanes;
    alignas(64) double weights[kGroup];
    alignas(64) int32_t buckets[kGroup];
    for (int j = 0; j < kVectors; ++j) {
      const Doubles weight = L::keep(L::less(group.value[j], L::set(highest)), group.weight[j]);
      squares = squares + weight * weight;
      L::store(weights + j * L::kCount, weight);
      L::store_integers(buckets + j * L::kCount, Histogram::bucket_of(distance(group.value[j])));
    }
    for (int64_t i = 0; i < kGroup; ++i) {
      histogram.weights[buckets[i]] += weights[i];
      counts[buckets[i]] += 1;
    }
  }
};

struct Window {
  double from;
  double to;
};

// Sums up all tokens, in the order of ids or any, and those before a window; lists those in the window.
template <bool kInOrder>
struct SumByWindow {
  Window window;
  LikelyDistance distance;
  CandidateMemory list;
  SumInOrder in_order{nullptr};
  int64_t listed = 0;
  bool is_full = false;
  Doubles all[kVectors] = {};
  Doubles before[kVectors] = {};

  double begin_block(int64_t first) { return kInOrder ? in_order.begin_block(first) : kSmallestExponent; }
  TESSERAE_INLINE void group(const WeightGroup& group) {
    using L = SampleLanes;
    if (kInOrder) in_order.group(group);
    Mask is_within[kVectors];
    Mask is_any = L::none();
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      const Doubles at = distance(group.value[j]);
      const Mask is_before = L::less(at, L::set(window.from));
      before[j] = before[j] + L::keep(is_before, group.weight[j]);
      if (!kInOrder) all[j] = all[j] + group.weight[j];
      const Mask is_near = L::both(L::less(at, L::set(window.to)), L::less(L::set(0), group.weight[j]));
      is_within[j] = L::both(is_near, L::at_least(at, L::set(window.from)));
      is_any = L::either(is_any, is_within[j]);
    }
    if (!L::any(is_any) || is_full) return;
    if (listed + kGroup > list.size) {
      is_full = true;
      return;
    }
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      listed += L::append(list.data + listed, is_within[j], group.floats + j * L::kCount, group.first + j * L::kCount);
    }
  }

  double total() const { return kInOrder ? in_order.total : sum_of(all); }
  double sum_before() const { return sum_of(before); }
};

}  // namespace
}  // namespace TESSERAE_ISA
}  // namespace tesserae
