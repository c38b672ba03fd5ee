// The candidates of a row, and the filters that remove some: topK, typicalP, topP, minP. The candidates are a list if
// they fit into the memory; else each pass computes again which tokens are candidates. Included by sample_exact.h.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/portable_math.h"
#include "kernels/sample_values.h"

namespace tesserae {
namespace {

struct Candidate {
  float value;
  int32_t id;
};

// From the most to the least likely, by id if equal.
struct Likelier {
  bool operator()(Candidate a, Candidate b) const { return a.value > b.value || (a.value == b.value && a.id < b.id); }
  // Candidates that come before `last` have at least this value.
  static float least_before(Candidate last) { return last.value; }
};

// By the distance from the expected surprise; if equal, in the order of the candidates before (ranked: that of
// Likelier).
struct MoreTypical {
  double highest;
  double expected;
  bool ranked;

  double key(float value) const {
    if (value - highest < kSmallestExponent) return -INFINITY;  // the weight is 0
    return -std::fabs(highest - value - expected);
  }
  bool operator()(Candidate a, Candidate b) const {
    const double left = key(a.value);
    const double right = key(b.value);
    if (left != right) return left > right;
    return ranked ? Likelier{}(a, b) : a.id < b.id;
  }
  static float least_before(Candidate) { return -INFINITY; }
};

struct CandidateMemory {
  Candidate* data;
  int64_t size;
};

// Calls visit(candidate) in the order of `before` until it returns false, or for the first `most` candidates.
// source(least, take) calls take(candidate) for all of them in any order; it may leave out values below `least`, which
// grows. If the memory holds only some, the source is called again for the next ones.
template <typename Before, typename Source, typename Visit>
void each_in_order(Before before, CandidateMemory memory, int64_t most, Source source, Visit visit) {
  const int64_t capacity = std::min(memory.size, std::max(2 * most, int64_t{64}));
  const int64_t kept = std::min(most, capacity / 2);
  Candidate* const batch = memory.data;
  Candidate last = {};
  for (int64_t visited = 0; visited < most;) {
    // The candidates after `last`. When the memory is full, only the first `kept` stay.
    int64_t count = 0;
    bool is_pruned = false;
    float least = -INFINITY;
    source(least, [&](Candidate candidate) {
      if (visited > 0 && !before(last, candidate)) return;
      if (is_pruned && !before(candidate, batch[kept - 1])) return;
      if (count == capacity) {
        std::nth_element(batch, batch + kept - 1, batch + count, before);
        count = kept;
        is_pruned = true;
        least = Before::least_before(batch[kept - 1]);
        if (!before(candidate, batch[kept - 1])) return;
      }
      batch[count++] = candidate;
    });
    std::sort(batch, batch + count, before);
    if (is_pruned) count = kept;
    for (int64_t i = 0; i < count && visited < most; ++i, ++visited) {
      if (!visit(batch[i])) return;
    }
    if (!is_pruned) return;
    last = batch[count - 1];
  }
}

template <typename Way>
class Candidates {
  // A source for each_in_order: all candidates.
  auto source() const {
    return [this](const float& least, auto take) {
      if (is_listed_) {
        for (int64_t i = 0; i < count_; ++i) take(memory_.data[i]);
        return;
      }
      values_.each(buffer_, least, [&](float value, int32_t id) {
        if (passes({value, id})) take(Candidate{value, id});
        return true;
      });
    };
  }

 public:
  Candidates(const RowValues<Way>& values, float* buffer, CandidateMemory memory)
      : values_(values), buffer_(buffer), memory_(memory), count_(values.count()) {}

  // Calls visit(candidate) for each candidate in order, until it returns false.
  template <typename Visit>
  void each(Visit visit) const {
    if (is_listed_) {
      for (int64_t i = 0; i < count_; ++i) {
        if (!visit(memory_.data[i])) return;
      }
    } else if (is_ranked_) {
      each_in_order(Likelier{}, front_half(), count_, source(), visit);
    } else {
      values_.each(buffer_, [&](float value, int32_t id) {
        const Candidate candidate = {value, id};
        return !passes(candidate) || visit(candidate);
      });
    }
  }

  // Starts with the `count` candidates at the front of the memory, which are in order.
  void take_list(int64_t count, bool is_ranked) {
    is_listed_ = true;
    is_ranked_ = is_ranked;
    count_ = count;
  }

  void keep_top(int64_t most) {
    count_ = most;
    rank();
    if (is_listed_) return;
    Candidate last = {};
    each([&](Candidate candidate) {
      last = candidate;
      return true;
    });
    least_likely_ = last;
    has_least_likely_ = true;
  }

  void keep_typical(double typical_p) {
    const Sum all = weigh(1);
    double expected = 0;
    each([&](Candidate candidate) {
      const double weight = portable_exp(candidate.value - all.highest);
      if (weight > 0) expected += weight / all.total * (all.highest - candidate.value);
      return true;
    });
    more_typical_ = {all.highest, expected, is_ranked_};
    const double bound = all.total * typical_p;
    Taking taking = {all, bound};
    const auto take = [&](Candidate candidate) { return taking.take(candidate); };
    each_in_order(more_typical_, behind_the_list(), count_, source(), take);
    least_typical_ = taking.last;
    has_least_typical_ = true;
    keep_passing(taking.count);
  }

  void keep_nucleus(double top_p) {
    const Sum all = weigh(1);
    const double bound = all.total * top_p;
    if (!is_ranked_) rank();
    Taking taking = {all, bound};
    each([&](Candidate candidate) { return taking.take(candidate); });
    least_likely_ = taking.last;
    has_least_likely_ = true;
    keep_passing(taking.count);
  }

  void keep_above_min_p(double min_p) {
    least_value_ = highest() + portable_log(min_p);
    int64_t kept = 0;
    each([&](Candidate candidate) {
      kept += passes(candidate) ? 1 : 0;
      return true;
    });
    keep_passing(kept);
  }

  // The chosen id, or -1 if all weights are 0.
  int32_t draw(double temperature, double random) const {
    const Sum all = weigh(temperature);
    const double target = random * all.total;
    double sum = 0;
    int32_t chosen = -1;
    each([&](Candidate candidate) {
      const double weight = portable_exp((candidate.value - all.highest) / temperature);
      // If the target equals the total, by rounding, the last candidate with a weight is chosen.
      if (weight != 0) chosen = candidate.id;
      sum += weight;
      return !(sum > target);
    });
    return chosen;
  }

 private:
  struct Sum {
    double highest;
    double total;
  };

  // The fewest candidates whose weights add up to a bound.
  struct Taking {
    Sum all;
    double bound;
    double sum = 0;
    int64_t count = 0;
    Candidate last = {};

    // Returns whether more are needed.
    bool take(Candidate candidate) {
      sum += portable_exp(candidate.value - all.highest);
      count += 1;
      last = candidate;
      return sum < bound;
    }
  };

  double highest() const {
    double highest = -INFINITY;
    each([&](Candidate candidate) {
      if (candidate.value > highest) highest = candidate.value;
      return true;
    });
    return highest;
  }

  // The sum of the unscaled probabilities.
  Sum weigh(double temperature) const {
    Sum sum = {highest(), 0};
    each([&](Candidate candidate) {
      sum.total += portable_exp((candidate.value - sum.highest) / temperature);
      return true;
    });
    return sum;
  }

  bool passes(Candidate candidate) const {
    if (has_least_likely_ && Likelier{}(least_likely_, candidate)) return false;
    if (has_least_typical_ && more_typical_(least_typical_, candidate)) return false;
    return candidate.value >= least_value_;
  }

  // Removes the candidates that do not pass any more; `count` pass.
  void keep_passing(int64_t count) {
    if (is_listed_) {
      const auto fails = [&](Candidate candidate) { return !passes(candidate); };
      std::remove_if(memory_.data, memory_.data + count_, fails);
      count_ = count;
      return;
    }
    count_ = count;
    if (is_ranked_) {
      rank();
    } else if (count_ <= most_listed()) {
      int64_t listed = 0;
      each([&](Candidate candidate) {
        memory_.data[listed++] = candidate;
        return true;
      });
      is_listed_ = true;
    }
  }

  // Orders the `count_` most likely candidates, as a list if one batch holds all of them.
  void rank() {
    is_ranked_ = true;
    if (is_listed_) {
      std::sort(memory_.data, memory_.data + count_, Likelier{});
    } else if (count_ <= most_listed() && (2 * count_ <= memory_.size || values_.count() <= memory_.size)) {
      int64_t listed = 0;
      each_in_order(Likelier{}, memory_, count_, source(), [&](Candidate) { return ++listed < count_; });
      is_listed_ = true;
    }
  }

  // The front of the memory holds the list, or batches of candidates in order; the rest is for sorting them in another
  // order.
  int64_t most_listed() const { return memory_.size / 4 * 3; }
  CandidateMemory front_half() const { return {memory_.data, memory_.size / 2}; }
  CandidateMemory behind_the_list() const {
    const int64_t used = is_listed_ ? count_ : memory_.size / 2;
    return {memory_.data + used, memory_.size - used};
  }

  const RowValues<Way>& values_;
  float* buffer_;
  CandidateMemory memory_;  // the list is at its front
  bool is_listed_ = false;
  bool is_ranked_ = false;  // in the order of Likelier; else by id
  int64_t count_;
  // What passes: nothing after the last candidate that topK or topP kept, nothing after the last one that typicalP
  // kept, and no value below minP's.
  bool has_least_likely_ = false;
  bool has_least_typical_ = false;
  Candidate least_likely_ = {};
  Candidate least_typical_ = {};
  MoreTypical more_typical_ = {};
  double least_value_ = -INFINITY;
};

}  // namespace
}  // namespace tesserae
