// The fast code of sample for the vector sets. It gives the tokens of the exact code without sorting the vocabulary: a
// sample estimates where a sum of weights, in the order of a filter, reaches its bound; one pass sums up the tokens
// before that place and lists those around it; only these are sorted. If rounding could change the result, the row is
// declined.
#pragma once

#include "kernels/simd/sample_sums.h"

namespace tesserae {
inline namespace TESSERAE_ISA {
namespace {

// Up to this many tokens are sorted and summed up one by one.
constexpr int64_t kFew = 2048;
constexpr int64_t kFewToSort = 128;
// Tokens in a sample, about.
constexpr int64_t kSampled = 8192;

// One row without topK. A function that returns nothing_found or false declines the row: the exact code must choose.
class FastChoice {
 public:
  static constexpr int32_t nothing_found = -1;

  FastChoice(const FastValues& values, const SampleMemory& memory) : tokens_{values, memory.buffer, {}} {
    const int64_t blocks = (values.count() + kSampleBlock - 1) / kSampleBlock;
    highest_of_blocks_ = highest_of_blocks(memory);
    prefix_ = reinterpret_cast<double*>(memory.candidates.data + blocks);
    histogram_.weights = prefix_ + blocks;
    counts_ = reinterpret_cast<int32_t*>(histogram_.weights + kBuckets);
    const int64_t used = 2 * blocks + kBuckets + kBuckets / 2;
    list_ = {memory.candidates.data + used, memory.candidates.size - used};
  }

  // Must be filled before choose().
  static float* highest_of_blocks(const SampleMemory& memory) {
    return reinterpret_cast<float*>(memory.candidates.data);
  }
  static bool fits(int64_t count, const SampleMemory& memory) {
    return memory.candidates.size > 2 * (count / kSampleBlock + 1) + 2 * kBuckets + 2 * kFew;
  }

  // The sum of e^(value - highest) over all tokens in the order of ids; 0 if no pass has computed it.
  double known_total() const { return known_total_; }
  double sum_all(float highest) { return sum_in_order({highest, 1}, nullptr); }

  // needs_total: whether the caller will read known_total().
  int32_t choose(float highest, const SampleRow& row, bool needs_total) {
    if (!(1 / row.temperature < INFINITY)) return nothing_found;
    highest_ = highest;
    needs_total_ = needs_total;
    if (row.typical_p < 1) {
      if (!keep_typical(row.typical_p)) return nothing_found;
      if (is_listed_) return choose_from_list(row);
    }
    if (row.top_p < 1) {
      if (!keep_nucleus(row.top_p)) return nothing_found;
      if (is_listed_) return choose_from_list(row);
    }
    if (row.min_p > 0) tokens_.rule.least_value = highest_ + portable_log(row.min_p);
    return tokens_.rule.is_cut ? draw_ranked(row) : draw_by_id(row);
  }

 private:
  // A bound that a sum must reach, and how far from it the sums must be for a certain result.
  struct Bound {
    double sum;
    double room;
  };

  // Two sums of `count` weights, in different orders, differ by less than 2 · count · 2^-53 of their total; near
  // weights add 2^-40, negligible ones count · 2^-54. The room is at least five times as much.
  double room_of(double total) const {
    return (static_cast<double>(tokens_.values.count() + kBuckets) * 0x1p-49 + 0x1p-37) * total;
  }

  template <bool kNear, typename Visit>
  void pass(Softmax softmax, Visit& visit, int64_t stride = kGroup) const {
    const Range range = {0, tokens_.values.count(), stride};
    if (tokens_.rule.takes_all()) each_group<false, kNear>(tokens_, softmax, range, visit);
    else each_group<true, kNear>(tokens_, softmax, range, visit);
  }

  double sum_in_order(Softmax softmax, double* prefix) {
    SumInOrder sum{prefix};
    pass<false>(softmax, sum);
    note_total(softmax, sum.total);
    return sum.total;
  }

  bool is_known_total(Softmax softmax) const { return tokens_.rule.takes_all() && softmax.temperature == 1; }
  void note_total(Softmax softmax, double total) {
    if (is_known_total(softmax)) known_total_ = total;
  }

  struct Estimate {
    Window window;       // the distances at which the sum probably reaches its bound
    double token_count;  // up to there
  };

  // Estimates where the sum of weights reaches this share of their total: from a sample, and the highest token of each
  // block.
  Estimate estimate(Softmax softmax, double share) const {
    const int64_t count = tokens_.values.count();
    const int64_t strides = std::max(int64_t{1}, count / kSampled);
    histogram_.clear();
    std::fill_n(counts_, kBuckets, 0);
    const LikelyDistance distance = {highest_};
    SampleByBuckets sample{histogram_, counts_, distance, highest_of_blocks_};
    pass<true>(softmax, sample, strides * kGroup);
    const auto factor = static_cast<double>(strides);
    for (int b = 0; b < kBuckets; ++b) histogram_.weights[b] *= factor;
    for (int64_t block = 0; block * kSampleBlock < count; ++block) {
      const double at = distance(highest_of_blocks_[block]);
      if (at >= 0) histogram_.weights[Histogram::bucket_of(at)] += portable_exp(-at / softmax.temperature);
    }
    const double total = histogram_.total();
    const double variance = share * (1 - share) * SampleLanes::sum(sample.squares) * factor * factor;
    const double margin = strides == 1 ? 1e-9 * total : 3 * std::sqrt(variance) + 1e-3 * total;
    double sum = 0;
    const int first = histogram_.find(share * total - margin, sum);
    sum = 0;
    const int last = histogram_.find(share * total + margin, sum);
    const int from = first < 0 ? kBuckets - 1 : first;
    const int to = last < 0 ? kBuckets - 1 : last;
    double token_count = 0;
    for (int b = 0; b <= to; ++b) token_count += counts_[b] * factor;
    return {{from == 0 ? 0 : Histogram::end_of(from - 1), Histogram::end_of(to)}, token_count};
  }

  struct Found {
    bool is_certain;
    Candidate candidate;
    double sum;  // up to it
  };

  // The first token in the order of Likelier at which the sum of weights reaches this share of their total.
  template <bool kInOrder>
  Found find_share(Softmax softmax, double share, Window window, double& total) {
    SumByWindow<kInOrder> summing{window, {highest_}, list_};
    pass<!kInOrder>(softmax, summing);
    total = summing.total();
    if (kInOrder) note_total(softmax, total);
    const Bound bound = {share * total, room_of(total)};
    if (summing.is_full || summing.sum_before() + bound.room >= bound.sum) return {false, {}, 0};
    return find_in_list(Likelier{}, summing.distance, softmax, bound, summing.listed, summing.sum_before());
  }

  // The first token in the order of `before` at which the sum reaches the bound, by the histogram of count_buckets.
  template <typename Before, typename Distance>
  Found find_by_buckets(Before before, Distance distance, Softmax softmax, Bound bound) const {
    double sum = 0;
    const int bucket = histogram_.find(bound.sum, sum);
    if (bucket < 0) return {false, {}, 0};
    const double from = bucket == 0 ? 0 : Histogram::end_of(bucket - 1);
    const int64_t count = list_within(distance, {from, Histogram::end_of(bucket)}, list_.size);
    return count < 0 ? Found{false, {}, 0} : find_in_list(before, distance, softmax, bound, count, sum);
  }

  template <typename Distance>
  void count_buckets(Softmax softmax, Distance distance) const {
    histogram_.clear();
    SumByBuckets<Distance> summing{histogram_, distance};
    pass<true>(softmax, summing);
  }

  // Lists the tokens left that are in a window and above -infinity, by id. Returns their number, or -1 if there are
  // more than `most`.
  template <typename Distance>
  int64_t list_within(Distance distance, Window window, int64_t most) const {
    using L = SampleLanes;
    int64_t count = 0;
    const float least = window.to < INFINITY ? distance.least_value(window.to) : -INFINITY;
    for (int64_t block = 0; block < tokens_.values.count(); block += kSampleBlock) {
      const float* of_block = tokens_.values.read(block, tokens_.buffer);
      for (int64_t i = 0; i < kSampleBlock; i += 16) {
        if (SampleFloats::none_reach(of_block + i, least)) continue;
        for (int64_t j = i; j < i + 16; j += L::kCount) {
          const Doubles value = L::load(of_block + j);
          const Doubles at = distance(value);
          Mask is_listed = L::both(L::less(L::set(-INFINITY), value), tokens_.rule.passes(value, block + j));
          is_listed = L::both(is_listed, L::at_least(at, L::set(window.from)));
          if (window.to < INFINITY) is_listed = L::both(is_listed, L::less(at, L::set(window.to)));
          if (!L::any(is_listed)) continue;
          if (count + L::kCount > most) return -1;
          count += L::append(list_.data + count, is_listed, of_block + j, block + j);
        }
      }
    }
    return count;
  }

  // The same for a list, given the sum of all tokens before it.
  template <typename Before, typename Distance>
  Found find_in_list(Before before, Distance distance, Softmax softmax, Bound bound, int64_t count, double sum) const {
    while (count > kFewToSort) {
      const int64_t fewer = keep_sub_bucket(distance, softmax, bound.sum, count, sum);
      if (fewer == count) break;
      count = fewer;
    }
    sort_list(count, before);
    Found found = {false, {}, 0};
    each_weight(list_.data, count, softmax, [&](int64_t i, double weight) {
      if (found.sum > 0) return;
      const double next = sum + weight;
      if (next >= bound.sum) {
        found = {bound.sum - sum > bound.room && next - bound.sum > bound.room, list_.data[i], next};
      }
      sum = next;
    });
    return found;
  }

  // Divides the distances of a list into buckets and keeps the one in which the sum reaches the target. Returns the
  // number of tokens kept: all of them if their distances are equal.
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
    each_weight(list_.data, count, softmax, [&](int64_t i, double weight) {
      weights[bucket_in(list_.data[i])] += weight;
    });
    int bucket = Histogram{weights}.find(target, sum);
    if (bucket < 0) bucket = kBuckets - 1;
    const auto is_other = [&](Candidate c) { return bucket_in(c) != bucket; };
    return std::remove_if(list_.data, list_.data + count, is_other) - list_.data;
  }

  template <typename Before>
  void sort_list(int64_t count, Before before) const {
    if (!std::is_sorted(list_.data, list_.data + count, before)) std::sort(list_.data, list_.data + count, before);
  }

  // Lists the first tokens in the order of `before` whose weights add up to the bound. Returns false if they are more
  // than kFew, or not certain.
  template <typename Before, typename Distance>
  bool keep_few(Before before, Distance distance, double reach, Bound bound) {
    for (;;) {
      const int64_t count = list_within(distance, {0, reach}, kFew);
      if (count < 0) return false;
      sort_list(count, before);
      double sum = 0;
      for (int64_t i = 0; i < count; ++i) {
        const double next = sum + portable_exp(list_.data[i].value - highest_);
        if (next >= bound.sum) {
          listed_ = i + 1;
          is_listed_ = bound.room == 0 || (bound.sum - sum > bound.room && next - bound.sum > bound.room);
          return is_listed_;
        }
        sum = next;
      }
      if (reach == INFINITY) return false;
      reach = reach < 100 ? 2 * reach + 1 : INFINITY;
    }
  }

  bool keep_typical(double typical_p) {
    const Softmax softmax = {highest_, 1};
    const double total = sum_in_order(softmax, nullptr);
    SurpriseInOrder surprise{highest_, total};
    pass<false>(softmax, surprise);
    const MoreTypical order = {highest_, surprise.expected, false};
    const TypicalDistance distance = {order};
    count_buckets(softmax, distance);
    double sum = 0;
    const int bucket = histogram_.find(total * typical_p, sum);
    if (bucket >= 0 && keep_few(order, distance, Histogram::end_of(bucket), {total * typical_p, 0})) {
      std::sort(list_.data, list_.data + listed_, [](Candidate a, Candidate b) { return a.id < b.id; });
      return true;
    }
    const Found found = find_by_buckets(order, distance, softmax, {total * typical_p, room_of(total)});
    if (!found.is_certain) return false;
    tokens_.rule.is_typical = true;
    tokens_.rule.more_typical = order;
    tokens_.rule.least_typical = found.candidate;
    highest_ = highest_left();
    return true;
  }

  bool keep_nucleus(double top_p) {
    const Softmax softmax = {highest_, 1};
    const LikelyDistance distance = {highest_};
    const bool is_exact = needs_total_ && is_known_total(softmax);
    const Estimate about = estimate(softmax, top_p);
    double total = 0;
    Found found = {false, {}, 0};
    if (about.token_count <= kFew) total = is_exact ? sum_in_order(softmax, nullptr) : sum_by_blocks(softmax);
    else if (is_exact) found = find_share<true>(softmax, top_p, about.window, total);
    else found = find_share<false>(softmax, top_p, about.window, total);
    if (!found.is_certain) {
      if (keep_few(Likelier{}, distance, about.window.to, {total * top_p, is_exact ? 0 : room_of(total)})) {
        tokens_.rule.is_cut = true;
        return true;
      }
      count_buckets(softmax, distance);
      found = find_by_buckets(Likelier{}, distance, softmax, {total * top_p, room_of(total)});
      if (!found.is_certain) return false;
    }
    tokens_.rule.is_cut = true;
    tokens_.rule.least_likely = found.candidate;
    return true;
  }

  float highest_left() const {
    float highest = -INFINITY;
    tokens_.values.each(tokens_.buffer, highest, [&](float value, int32_t id) {
      if (value == highest) return true;
      alignas(64) float same[SampleLanes::kCount];
      std::fill_n(same, SampleLanes::kCount, value);
      if ((SampleLanes::bits(tokens_.rule.passes(SampleLanes::load(same), id)) & 1) != 0) highest = value;
      return true;
    });
    return highest;
  }

  // The list is in the order of Likelier after topP, else by id.
  int32_t choose_from_list(const SampleRow& row) {
    Candidates<SampleFloats> left(tokens_.values, tokens_.buffer, list_);
    left.take_list(listed_, tokens_.rule.is_cut);
    if (!tokens_.rule.is_cut && row.top_p < 1) left.keep_nucleus(row.top_p);
    if (row.min_p > 0) left.keep_above_min_p(row.min_p);
    return left.draw(row.temperature, row.random);
  }

  double sum_by_blocks(Softmax softmax) const {
    SumByBlocks sum{prefix_};
    pass<true>(softmax, sum);
    sum.flush();
    return sum.total;
  }

  // Draws from tokens in the order of ids.
  int32_t draw_by_id(const SampleRow& row) {
    const Softmax softmax = {highest_, row.temperature};
    if (!needs_total_ || !is_known_total(softmax)) {
      const double total = sum_by_blocks(softmax);
      const int32_t drawn = draw_from_block(softmax, {row.random * total, room_of(total)});
      if (drawn >= 0) return drawn;
    }
    return draw_from_block(softmax, {row.random * sum_in_order(softmax, prefix_), 0});
  }

  // The token at which the sum, known for each block, exceeds the bound.
  int32_t draw_from_block(Softmax softmax, Bound bound) const {
    struct Drawing {
      Bound bound;
      double sum;
      int32_t chosen = nothing_found;
      bool is_certain = false;

      double begin_block(int64_t) const { return kSmallestExponent; }
      void group(const WeightGroup& group) {
        alignas(64) double weights[kGroup];
        for (int j = 0; j < kVectors; ++j) SampleLanes::store(weights + j * SampleLanes::kCount, group.weight[j]);
        for (int64_t i = 0; i < kGroup && chosen < 0; ++i) {
          const double next = sum + weights[i];
          if (next > bound.sum) {
            chosen = static_cast<int32_t>(group.first + i);
            is_certain = bound.room == 0 || (bound.sum - sum > bound.room && next - bound.sum > bound.room);
          }
          sum = next;
        }
      }
    };
    const int64_t count = tokens_.values.count();
    const int64_t blocks = (count + kSampleBlock - 1) / kSampleBlock;
    // The last block before which the sum does not exceed the bound.
    const int64_t block = std::upper_bound(prefix_ + 1, prefix_ + blocks, bound.sum) - prefix_ - 1;
    Drawing drawing = {bound, prefix_[block]};
    const int64_t first = block * kSampleBlock;
    const Range range = {first, std::min(first + kSampleBlock, count), kGroup};
    each_group<true, false>(tokens_, softmax, range, drawing);
    return drawing.is_certain ? drawing.chosen : nothing_found;
  }

  // Draws from more than kFew tokens in the order of Likelier.
  int32_t draw_ranked(const SampleRow& row) {
    const Softmax softmax = {highest_, row.temperature};
    double total = 0;
    Found found = find_share<false>(softmax, row.random, estimate(softmax, row.random).window, total);
    if (!found.is_certain) {
      const LikelyDistance distance = {highest_};
      count_buckets(softmax, distance);
      found = find_by_buckets(Likelier{}, distance, softmax, {row.random * total, room_of(total)});
    }
    return found.is_certain ? found.candidate.id : nothing_found;
  }

  Tokens tokens_;
  float* highest_of_blocks_;
  double* prefix_;
  Histogram histogram_;
  int32_t* counts_;
  CandidateMemory list_;
  double highest_ = 0;  // of the tokens left
  bool needs_total_ = false;
  double known_total_ = 0;
  bool is_listed_ = false;
  int64_t listed_ = 0;
};

// See sample_row.
struct FastWay {
  using Values = FastValues;
  double known_total = 0;  // of the unchanged logits

  Best best(const Values& values, const SampleMemory& memory) const {
    if (!FastChoice::fits(values.count(), memory)) return best_of(values, memory.buffer);
    float* highest_of_blocks = FastChoice::highest_of_blocks(memory);
    Best best = {0, -INFINITY};
    int64_t best_block = -1;
    for (int64_t block = 0; block < values.count(); block += kSampleBlock) {
      const float highest = SampleFloats::highest(values.read(block, memory.buffer), kSampleBlock);
      highest_of_blocks[block / kSampleBlock] = highest;
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
    // With topK the exact code is fast enough.
    if (row.top_k > 0 && row.top_k < values.count()) return {choose_exact(values, row, memory), false};
    int32_t chosen = FastChoice::nothing_found;
    if (FastChoice::fits(values.count(), memory)) {
      FastChoice fast(values, memory);
      const bool needs_total = row.alternatives >= 0 && !values.are_changed();
      chosen = fast.choose(best.value, row, needs_total);
      if (needs_total) known_total = fast.known_total();
    }
    if (chosen >= 0) return {chosen, false};
    return {choose_exact(values, row, memory), true};
  }

  double total(const Values& logits, Best likeliest, const SampleMemory& memory) const {
    if (known_total > 0) return known_total;
    if (!FastChoice::fits(logits.count(), memory)) return total_of(logits, likeliest.value, memory.buffer);
    return FastChoice(logits, memory).sum_all(likeliest.value);
  }
};

}  // namespace
}  // namespace TESSERAE_ISA
}  // namespace tesserae
