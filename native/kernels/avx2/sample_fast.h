// sample for the vector sets: the tokens of the exact way without sorting the vocabulary. It finds by a histogram of weights
// where a sum in the order of a filter reaches its bound, and sorts only the tokens around that place. Where rounding could
// decide, the exact way does. Included by the kernels of sample of each set.
#pragma once

#include "kernels/avx2/sample_weights.h"

namespace tesserae {
inline namespace TESSERAE_ISA {
namespace {

constexpr int kBuckets = 1024;
constexpr double kBucketsPerNat = 32;
// Up to so many tokens are sorted and summed up one by one.
constexpr int64_t kFew = 2048;
constexpr int64_t kFewToSort = 128;

// Sums of the weights of tokens by their distance from the front of an order: bucket 0 is first.
struct Histogram {
  double* weights;  // kBuckets

  void clear() { std::fill_n(weights, kBuckets, 0.0); }

  double total() const {
    double total = 0;
    for (int b = 0; b < kBuckets; ++b) total += weights[b];
    return total;
  }

  // The first bucket in which the sum reaches the target, or -1; `before` is the sum of those before it.
  int find(double target, double& before) const {
    for (int b = 0; b < kBuckets; ++b) {
      if (before + weights[b] >= target) return b;
      before += weights[b];
    }
    return -1;
  }
};

// The distance of a token in the order of `Likelier`, and in that of `MoreTypical` among tokens in the order of their ids.
struct LikelyDistance {
  double highest;
  Doubles operator()(Doubles value) const { return SampleLanes::set(highest) - value; }
  double operator()(float value) const { return highest - value; }
};
struct TypicalDistance {
  MoreTypical typical;
  Doubles operator()(Doubles value) const {
    return SampleLanes::set(0) - Rule::typical_key(typical, value);
  }
  double operator()(float value) const { return -typical.key(value); }
};

TESSERAE_INLINE Doubles bucket_of(Doubles distance) {
  return SampleLanes::at_most(distance * SampleLanes::set(kBucketsPerNat), kBuckets - 1);
}

// A pass that sums weights up, one after the other, by buckets, or both.
template <bool kInOrder, bool kByBuckets, typename Distance>
struct Summing {
  double* prefix;  // for each block the sum before it, if the sum is in order; or null
  Histogram histogram;
  Distance distance;
  double total = 0;

  double begin_block(int64_t first) {
    if (!kInOrder) return kSmallestExponent;
    if (prefix != nullptr) prefix[first / kSampleBlock] = total;
    return negligible_power(total);
  }

  TESSERAE_INLINE void group(const WeightGroup& group) {
    alignas(64) double weights[kGroup];
    alignas(64) int32_t buckets[kGroup];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      SampleLanes::store(weights + j * SampleLanes::kCount, group.weight[j]);
      if (kByBuckets) SampleLanes::store_integers(buckets + j * SampleLanes::kCount, bucket_of(distance(group.value[j])));
    }
    asm volatile("" : "+m"(weights));  // or GCC would take the vectors apart by shuffles
    double sum = total;
#pragma GCC unroll 8
    for (int64_t i = 0; i < kGroup; ++i) {
      if (kInOrder) sum += weights[i];
      if (kByBuckets) histogram.weights[buckets[i]] += weights[i];
    }
    total = sum;
  }
};

// The sum of p · surprise, in order.
struct SummingSurprise {
  Softmax softmax;
  double total;
  double expected = 0;

  double begin_block(int64_t) const { return kSmallestExponent; }

  TESSERAE_INLINE void group(const WeightGroup& group) {
    using L = SampleLanes;
    alignas(64) double terms[kGroup];
    for (int j = 0; j < kVectors; ++j) {
      const Mask has_weight = L::less(L::set(0), group.weight[j]);
      const Doubles term = group.weight[j] / L::set(total) * (L::set(softmax.highest) - group.value[j]);
      L::store(terms + j * L::kCount, L::keep(has_weight, term));
    }
    for (double term : terms) expected += term;
  }
};

// One row without topK. What gives up returns nothing_found or false: the exact way must choose then.
class FastChoice {
 public:
  static constexpr int32_t nothing_found = -1;

  FastChoice(const FastValues& values, const SampleMemory& memory) : values_(values), memory_(memory) {
    const int64_t blocks = (values.count() + kSampleBlock - 1) / kSampleBlock;
    prefix_ = reinterpret_cast<double*>(memory.candidates.data);
    histogram_.weights = prefix_ + blocks;
    list_.data = memory.candidates.data + blocks + kBuckets;
    list_.size = memory.candidates.size - blocks - kBuckets;
  }

  // The sum of e^(value - highest) over all tokens in the order of their ids, if a pass has needed it, or 0.
  double known_total() const { return known_total_; }

  double sum_all(float highest) { return sum_up({highest, 1}, nullptr); }

  int32_t choose(float highest, const SampleRow& row) {
    if (list_.size < 2 * kFew) return nothing_found;
    highest_ = highest;
    if (row.typical_p < 1) {
      if (!keep_typical(row.typical_p)) return nothing_found;
      if (is_listed_) return choose_from_list(row);
    }
    if (row.top_p < 1) {
      if (!keep_nucleus(row.top_p)) return nothing_found;
      if (is_listed_) return choose_from_list(row);
    }
    if (row.min_p > 0) rule_.least_value = highest_ + portable_log(row.min_p);
    return rule_.is_cut ? draw_ranked(row) : draw_by_id(row);
  }

 private:
  // How far two sums of the same weights may be apart, in any order, per unit of their total: twice the bound of each is
  // count · 2^-53 · 2, with those who are left out as negligible. Margins of four times as much cost nothing.
  double tolerance(double total) const { return static_cast<double>(values_.count() + kBuckets) * 0x1p-49 * total; }

  template <typename Visit>
  void pass(Softmax softmax, Visit& visit) {
    const int64_t count = values_.count();
    if (rule_.takes_all()) each_group<false>(values_, memory_.buffer, rule_, softmax, 0, count, visit);
    else each_group<true>(values_, memory_.buffer, rule_, softmax, 0, count, visit);
  }

  // The sum in the order of ids.
  double sum_up(Softmax softmax, double* prefix) {
    Summing<true, false, LikelyDistance> summing{prefix, histogram_, {0}};
    pass(softmax, summing);
    note_total(softmax, summing.total);
    return summing.total;
  }

  void note_total(Softmax softmax, double total) {
    if (rule_.takes_all() && softmax.temperature == 1) known_total_ = total;
  }

  // Lists the tokens left that are in bucket `last` or before it, or in that one alone. @returns how many, or -1 if there
  // are more than `most`
  template <typename Distance>
  int64_t list_buckets(Distance distance, int last, bool alone, int64_t most, float least) const {
    using L = SampleLanes;
    int64_t count = 0;
    const Doubles end = L::set(last + 1);
    for (int64_t block = 0; block < values_.count(); block += kSampleBlock) {
      const float* of_block = values_.read(block, memory_.buffer);
      for (int64_t i = 0; i < kSampleBlock; i += 16) {
        if (SampleFloats::none_reach(of_block + i, least)) continue;
        for (int64_t j = i; j < i + 16; j += L::kCount) {
          const Doubles value = L::load(of_block + j);
          const Doubles bucket = bucket_of(distance(value));
          Mask is_listed = L::both(L::less(bucket, end), rule_.passes(value, block + j));
          is_listed = L::both(is_listed, L::less(L::set(-INFINITY), value));
          if (alone) is_listed = L::both(is_listed, L::at_least(bucket, L::set(last)));
          for (uint32_t bits = L::bits(is_listed); bits != 0; bits &= bits - 1) {
            if (count == most) return -1;
            const int64_t at = j + __builtin_ctz(bits);
            list_.data[count++] = {of_block[at], static_cast<int32_t>(block + at)};
          }
        }
      }
    }
    return count;
  }

  // Values of the tokens up to this bucket are at least this, with room for rounding.
  static float least_value(LikelyDistance distance, int last) {
    if (last == kBuckets - 1) return -INFINITY;
    const double width = (last + 1) / kBucketsPerNat;
    return static_cast<float>(distance.highest - width - 1e-5 * (std::fabs(distance.highest) + width));
  }
  static float least_value(TypicalDistance, int) { return -INFINITY; }

  // Keeps the first tokens in the order of `before` whose weights sum up to `bound`: as a list if they are few, by the id
  // and value of the last one if they are many.
  template <typename Before, typename Distance>
  bool keep_first(Before before, Distance distance, double total, double bound, Candidate& last) {
    double sum = 0;
    const int bucket = histogram_.find(bound + tolerance(total), sum);
    if (bucket < 0) return false;
    const int64_t count = list_buckets(distance, bucket, false, kFew, least_value(distance, bucket));
    if (count < 0) {
      const Found found = find(before, distance, {highest_, 1}, bound, total);
      if (!found.is_certain) return false;
      last = found.candidate;
      cut_total_ = found.sum;
      return true;
    }
    std::sort(list_.data, list_.data + count, before);
    sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      sum += portable_exp(list_.data[i].value - highest_);
      if (sum < bound) continue;
      is_listed_ = true;
      listed_ = i + 1;
      return true;
    }
    return false;
  }

  bool keep_typical(double typical_p) {
    const Softmax softmax = {highest_, 1};
    const double total = sum_up(softmax, nullptr);
    SummingSurprise surprise{softmax, total};
    pass(softmax, surprise);
    const MoreTypical order = {highest_, surprise.expected, false};
    const TypicalDistance distance = {order};
    histogram_.clear();
    Summing<false, true, TypicalDistance> summing{nullptr, histogram_, distance};
    pass(softmax, summing);
    if (!keep_first(order, distance, total, total * typical_p, rule_.least_typical)) return false;
    if (is_listed_) {
      std::sort(list_.data, list_.data + listed_, [](Candidate a, Candidate b) { return a.id < b.id; });
      return true;
    }
    rule_.is_typical = true;
    rule_.more_typical = order;
    highest_ = highest_left();
    return true;
  }

  bool keep_nucleus(double top_p) {
    const Softmax softmax = {highest_, 1};
    const LikelyDistance distance = {highest_};
    histogram_.clear();
    Summing<true, true, LikelyDistance> summing{nullptr, histogram_, distance};
    pass(softmax, summing);
    note_total(softmax, summing.total);
    if (!keep_first(Likelier{}, distance, summing.total, summing.total * top_p, rule_.least_likely)) return false;
    rule_.is_cut = true;
    return true;
  }

  float highest_left() const {
    float highest = -INFINITY;
    values_.each(memory_.buffer, highest, [&](float value, int32_t id) {
      if (value == highest) return true;
      alignas(64) float same[SampleLanes::kCount];
      std::fill_n(same, SampleLanes::kCount, value);
      if ((SampleLanes::bits(rule_.passes(SampleLanes::load(same), id)) & 1) != 0) highest = value;
      return true;
    });
    return highest;
  }

  // The list is in order: that of Likelier after top_p, else by ids.
  int32_t choose_from_list(const SampleRow& row) {
    Candidates<SampleFloats> left(values_, memory_.buffer, list_);
    left.take_list(listed_, rule_.is_cut);
    if (!rule_.is_cut && row.top_p < 1) left.keep_nucleus(row.top_p);
    if (row.min_p > 0) left.keep_above_min_p(row.min_p);
    return left.draw(row.temperature, row.random);
  }

  // Draws by sums in the order of ids.
  int32_t draw_by_id(const SampleRow& row) {
    const Softmax softmax = {highest_, row.temperature};
    const double total = sum_up(softmax, prefix_);
    const double target = row.random * total;
    const int64_t blocks = (values_.count() + kSampleBlock - 1) / kSampleBlock;
    // The last block before which the sum does not exceed the target.
    const int64_t block = std::upper_bound(prefix_ + 1, prefix_ + blocks, target) - prefix_ - 1;
    struct Drawing {
      double sum;
      double target;
      int32_t chosen = nothing_found;

      double begin_block(int64_t) const { return kSmallestExponent; }
      void group(const WeightGroup& group) {
        alignas(64) double weights[kGroup];
        for (int j = 0; j < kVectors; ++j) SampleLanes::store(weights + j * SampleLanes::kCount, group.weight[j]);
        for (int64_t i = 0; i < kGroup && chosen < 0; ++i) {
          sum += weights[i];
          if (sum > target) chosen = static_cast<int32_t>(group.first + i);
        }
      }
    };
    Drawing drawing = {prefix_[block], target};
    const int64_t first = block * kSampleBlock;
    const int64_t end = std::min(first + kSampleBlock, values_.count());
    each_group<true>(values_, memory_.buffer, rule_, softmax, first, end, drawing);
    return drawing.chosen;
  }

  // Draws by sums in the order of Likelier, of many.
  int32_t draw_ranked(const SampleRow& row) {
    const Softmax softmax = {highest_, row.temperature};
    const LikelyDistance distance = {highest_};
    double total = cut_total_;
    if (row.temperature != 1 || row.min_p > 0) {
      histogram_.clear();
      Summing<false, true, LikelyDistance> summing{nullptr, histogram_, distance};
      pass(softmax, summing);
      total = histogram_.total();
    }
    const Found found = find(Likelier{}, distance, softmax, row.random * total, total);
    return found.is_certain ? found.candidate.id : nothing_found;
  }

  struct Found {
    bool is_certain;
    Candidate candidate;
    double sum;  // up to it
  };

  // The first token at which the sum of weights reaches the target, of those that the histogram has counted.
  template <typename Before, typename Distance>
  Found find(Before before, Distance distance, Softmax softmax, double target, double total) const {
    const Found uncertain = {false, {}, 0};
    double sum = 0;
    const int bucket = histogram_.find(target, sum);
    if (bucket < 0) return uncertain;
    int64_t count = list_buckets(distance, bucket, true, list_.size, least_value(distance, bucket));
    if (count < 0) return uncertain;
    while (count > kFewToSort) {
      const int64_t fewer = keep_sub_bucket(distance, softmax, target, count, sum);
      if (fewer == count) break;
      count = fewer;
    }
    if (!std::is_sorted(list_.data, list_.data + count, before)) std::sort(list_.data, list_.data + count, before);
    const double room = tolerance(total);
    Found found = uncertain;
    each_weight(list_.data, count, softmax, [&](int64_t i, double weight) {
      if (found.sum > 0) return;
      const double next = sum + weight;
      if (next >= target) found = {target - sum > room && next - target > room, list_.data[i], next};
      sum = next;
    });
    return found;
  }

  // Cuts the distances of a list into buckets and keeps the one in which the sum reaches the target. @returns how many are
  // left: all of them if they cannot be told apart
  template <typename Distance>
  int64_t keep_sub_bucket(Distance distance, Softmax softmax, double target, int64_t count, double& sum) const {
    double least = INFINITY;
    double most = -INFINITY;
    for (int64_t i = 0; i < count; ++i) {
      least = std::min(least, distance(list_.data[i].value));
      most = std::max(most, distance(list_.data[i].value));
    }
    const double scale = (kBuckets - 1) / (most - least);
    if (!(scale > 0 && scale < INFINITY)) return count;
    const auto bucket_in = [&](Candidate c) { return static_cast<int>((distance(c.value) - least) * scale); };
    double weights[kBuckets] = {};
    each_weight(list_.data, count, softmax, [&](int64_t i, double weight) { weights[bucket_in(list_.data[i])] += weight; });
    int bucket = Histogram{weights}.find(target, sum);
    if (bucket < 0) bucket = kBuckets - 1;
    const auto is_other = [&](Candidate c) { return bucket_in(c) != bucket; };
    return std::remove_if(list_.data, list_.data + count, is_other) - list_.data;
  }

  const FastValues& values_;
  const SampleMemory& memory_;
  double* prefix_;
  Histogram histogram_;
  CandidateMemory list_;
  Rule rule_;
  double highest_ = 0;  // of the tokens left
  double known_total_ = 0;
  double cut_total_ = 0;  // of the weights at temperature 1 up to the cut
  bool is_listed_ = false;
  int64_t listed_ = 0;
};

// What sample_row calls.
struct FastWay {
  using Values = FastValues;
  double known_total = 0;  // of the logits as they are

  Best best(const Values& values, const SampleMemory& memory) const {
    Best best = {0, -INFINITY};
    int64_t best_block = -1;
    for (int64_t block = 0; block < values.count(); block += kSampleBlock) {
      const float highest = SampleFloats::highest(values.read(block, memory.buffer), kSampleBlock);
      if (highest <= best.value) continue;
      best.value = highest;
      best_block = block;
      if (std::isnan(highest)) break;
    }
    if (best_block < 0) return best;
    const float* of_block = values.read(best_block, memory.buffer);
    int64_t i = 0;
    while (!(of_block[i] == best.value || (std::isnan(best.value) && std::isnan(of_block[i])))) ++i;
    best.id = static_cast<int32_t>(best_block + i);
    return best;
  }

  Choice choose(const Values& values, Best best, const SampleRow& row, const SampleMemory& memory) {
    // The exact way finds the few that topK leaves fast enough.
    if (row.top_k > 0 && row.top_k < values.count()) return {choose_exact(values, row, memory), false};
    FastChoice fast(values, memory);
    const int32_t chosen = fast.choose(best.value, row);
    if (!values.are_changed()) known_total = fast.known_total();
    if (chosen >= 0) return {chosen, false};
    return {choose_exact(values, row, memory), true};
  }

  double total(const Values& logits, Best likeliest, const SampleMemory& memory) const {
    return known_total > 0 ? known_total : FastChoice(logits, memory).sum_all(likeliest.value);
  }
};

}  // namespace
}  // namespace TESSERAE_ISA
}  // namespace tesserae
