// The tokens that a row may still choose from, and the filters that take some away: topK, typicalP, topP, minP. They are a
// rule, and a list where the memory holds one; without it each pass finds them again. Included by sample_exact.h.
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

// The order of CandidateHeap and TopSelection.
struct Likelier {
  bool operator()(Candidate a, Candidate b) const { return a.value > b.value || (a.value == b.value && a.id < b.id); }
};

// The nearest to the expected surprise first; of equally near ones the one that came first in the order before.
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
};

struct CandidateMemory {
  Candidate* data;
  int64_t size;
};

// Calls visit(candidate) for what source(take) gives to take(candidate), in the order of `before`, until it returns false
// or `most` are visited. What the memory does not hold is taken from the source again.
template <typename Before, typename Source, typename Visit>
void each_in_order(Before before, CandidateMemory memory, int64_t most, Source source, Visit visit) {
  const int64_t size = std::min(memory.size, most);
  Candidate* const batch = memory.data;
  Candidate last = {};
  for (int64_t visited = 0; visited < most;) {
    // The first `size` of those behind `last`; when there are more, as a heap with the one that comes last at its root.
    int64_t count = 0;
    source([&](Candidate candidate) {
      if (visited > 0 && !before(last, candidate)) return;
      if (count < size) {
        batch[count++] = candidate;
        if (count == size) std::make_heap(batch, batch + size, before);
      } else if (before(candidate, batch[0])) {
        std::pop_heap(batch, batch + size, before);
        batch[size - 1] = candidate;
        std::push_heap(batch, batch + size, before);
      }
    });
    std::sort(batch, batch + count, before);
    for (int64_t i = 0; i < count && visited < most; ++i, ++visited) {
      if (!visit(batch[i])) return;
    }
    if (count < size) return;
    last = batch[size - 1];
  }
}

class Candidates {
  // For each_in_order: all candidates, in any order.
  auto source() const {
    return [this](auto take) {
      if (is_listed_) {
        for (int64_t i = 0; i < count_; ++i) take(list_.data[i]);
        return;
      }
      values_.each(buffer_, [&](float value, int32_t id) {
        if (passes({value, id})) take(Candidate{value, id});
        return true;
      });
    };
  }

 public:
  // Half of the memory is for the list, half for sorting.
  Candidates(const RowValues& values, float* buffer, CandidateMemory memory)
      : values_(values),
        buffer_(buffer),
        list_{memory.data, memory.size / 2},
        sorting_{memory.data + memory.size / 2, memory.size - memory.size / 2},
        count_(values.count()) {}

  // Calls visit(candidate) for each in order, until it returns false.
  template <typename Visit>
  void each(Visit visit) const {
    if (is_listed_) {
      for (int64_t i = 0; i < count_; ++i) {
        if (!visit(list_.data[i])) return;
      }
    } else if (is_ranked_) {
      each_in_order(Likelier{}, list_, count_, source(), visit);
    } else {
      values_.each(buffer_, [&](float value, int32_t id) {
        const Candidate candidate = {value, id};
        return !passes(candidate) || visit(candidate);
      });
    }
  }

  void keep_top(int64_t most) {
    is_ranked_ = true;
    count_ = most;
    if (list_the_likeliest()) return;
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
    each_in_order(more_typical_, sorting_, count_, source(), [&](Candidate candidate) { return taking.take(candidate); });
    least_typical_ = taking.last;
    has_least_typical_ = true;
    keep_passing(taking.count);
  }

  void keep_nucleus(double top_p) {
    const Sum all = weigh(1);
    const double bound = all.total * top_p;
    if (is_listed_ && !is_ranked_) std::sort(list_.data, list_.data + count_, Likelier{});
    Taking taking = {all, bound};
    const auto take = [&](Candidate candidate) { return taking.take(candidate); };
    if (is_listed_ || is_ranked_) each(take);
    else each_in_order(Likelier{}, sorting_, count_, source(), take);
    least_likely_ = taking.last;
    has_least_likely_ = true;
    is_ranked_ = true;
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

  // The chosen id, or -1 if nothing has a weight.
  int32_t draw(double temperature, double random) const {
    const Sum all = weigh(temperature);
    const double target = random * all.total;
    double sum = 0;
    int32_t chosen = -1;
    each([&](Candidate candidate) {
      const double weight = portable_exp((candidate.value - all.highest) / temperature);
      // Only by rounding does the target reach the sum: then it is the last that has a weight.
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

  // The fewest candidates whose weights sum up to a bound.
  struct Taking {
    Sum all;
    double bound;
    double sum = 0;
    int64_t count = 0;
    Candidate last = {};

    // Whether more are needed.
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

  // Unscaled probabilities: their sum.
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

  // After the rule has become stricter: `count` candidates are left.
  void keep_passing(int64_t count) {
    if (is_listed_) {
      const auto fails = [&](Candidate candidate) { return !passes(candidate); };
      std::remove_if(list_.data, list_.data + count_, fails);
      count_ = count;
      return;
    }
    count_ = count;
    if (is_ranked_) {
      list_the_likeliest();
    } else if (count_ <= list_.size) {
      int64_t listed = 0;
      each([&](Candidate candidate) {
        list_.data[listed++] = candidate;
        return true;
      });
      is_listed_ = true;
    }
  }

  // Lists the `count_` likeliest in their order, if they fit.
  bool list_the_likeliest() {
    if (count_ > list_.size) return false;
    int64_t listed = 0;
    each_in_order(Likelier{}, list_, count_, source(), [&](Candidate) { return ++listed < count_; });
    is_listed_ = true;
    return true;
  }

  const RowValues& values_;
  float* buffer_;
  CandidateMemory list_;
  CandidateMemory sorting_;
  bool is_listed_ = false;
  bool is_ranked_ = false;  // the most likely first, instead of by id
  int64_t count_;
  // The rule: what may be left. Those behind the least likely or the least typical one kept are out.
  bool has_least_likely_ = false;
  bool has_least_typical_ = false;
  Candidate least_likely_ = {};
  Candidate least_typical_ = {};
  MoreTypical more_typical_ = {};
  double least_value_ = -INFINITY;
};

}  // namespace
}  // namespace tesserae
