// The oracle of sample's tests: sampler.ts and logprob-reader.ts of test/support/sampling in C++, with vectors and
// sorting where those have heaps and typed arrays. It shares no code with the kernels but the layout of a row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <vector>

#include "kernels/sample.h"

namespace tesserae::sample_testing {

inline double oracle_exp(double x) {
  if (x < -708) return 0;
  const double power = std::floor(x * 1.4426950408889634 + 0.5);
  const double rest = x - power * 0.6931471803691238 - power * 1.9082149292705877e-10;
  static const std::vector<double> inverse_factorials = [] {
    std::vector<double> values;
    double factorial = 1;
    for (int n = 0; n < 14; factorial *= ++n) values.push_back(1 / factorial);
    return values;
  }();
  double sum = 0;
  for (size_t n = 14; n-- > 0;) sum = sum * rest + inverse_factorials[n];
  return sum * std::ldexp(1.0, static_cast<int>(power));
}

inline double oracle_log(double x) {
  if (x == 0) return -INFINITY;
  int exponent;
  double mantissa = 2 * std::frexp(x, &exponent);
  double power = exponent - 1;
  if (mantissa > 1.4142135623730951) mantissa /= 2, power += 1;
  const double s = (mantissa - 1) / (mantissa + 1);
  double sum = 0;
  for (int n = 11; n >= 0; --n) sum = sum * (s * s) + 2.0 / (2 * n + 1);
  return power * 0.6931471803691238 + (power * 1.9082149292705877e-10 + s * sum);
}

// A row with the lists that it points to.
struct OracleRow {
  SampleRow row = {};
  std::vector<SampleBias> biases;
  std::vector<SampleRecent> recent;
  std::vector<uint32_t> allowed;

  void point() {
    row.biases = biases.data(), row.bias_count = static_cast<int32_t>(biases.size());
    row.recent = recent.data(), row.recent_count = static_cast<int32_t>(recent.size());
    row.allowed = allowed.empty() ? nullptr : allowed.data();
  }
};

struct OracleResult {
  SampleResult head = {SampleStatus::unused, -1, 0, 0, 0};
  std::vector<SampleAlternative> alternatives;
};

class Oracle {
 public:
  Oracle(const std::vector<float>& logits, const OracleRow& request)
      : logits_(logits), values_(logits), request_(request), row_(request.row) {}

  OracleResult sample() {
    OracleResult result;
    int32_t best = first_highest(logits_);
    result.head.status = status_of(logits_[static_cast<size_t>(best)]);
    if (result.head.status == SampleStatus::chosen) {
      adjust();
      best = first_highest(values_);
      result.head.status = status_of(values_[static_cast<size_t>(best)]);
    }
    result.head.id = best;
    if (result.head.status != SampleStatus::chosen) return result;
    if (row_.temperature != 0) result.head.id = choose();
    if (row_.alternatives >= 0) report(result);
    return result;
  }

 private:
  using Ids = std::vector<int32_t>;

  static int32_t first_highest(const std::vector<float>& values) {
    size_t best = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) return static_cast<int32_t>(i);
      if (values[i] > values[best]) best = i;
    }
    return static_cast<int32_t>(best);
  }

  static SampleStatus status_of(float value) {
    if (std::isnan(value)) return SampleStatus::nan;
    if (std::isinf(value)) return value > 0 ? SampleStatus::infinite : SampleStatus::nothing;
    return SampleStatus::chosen;
  }

  float value(int32_t id) const { return values_[static_cast<size_t>(id)]; }

  void adjust() {
    for (const SampleBias& b : request_.biases) {
      float& v = values_[static_cast<size_t>(b.id)];
      v = static_cast<float>(v + b.bias);
    }
    for (const SampleRecent& r : request_.recent) {
      float& v = values_[static_cast<size_t>(r.id)];
      const double repeated = v > 0 ? v / row_.repetition : v * row_.repetition;
      v = static_cast<float>(repeated - r.count * row_.frequency - row_.presence);
    }
    for (size_t i = 0; i < values_.size() && !request_.allowed.empty(); ++i) {
      if ((request_.allowed[i / 32] >> (i % 32) & 1) == 0) values_[i] = -INFINITY;
    }
  }

  std::vector<double> weigh(const Ids& ids, double temperature) const {
    double highest = -INFINITY;
    for (int32_t id : ids) highest = std::max(highest, static_cast<double>(value(id)));
    std::vector<double> weights;
    for (int32_t id : ids) weights.push_back(oracle_exp((value(id) - highest) / temperature));
    return weights;
  }

  static double sum(const std::vector<double>& weights) { return std::accumulate(weights.begin(), weights.end(), 0.0); }

  void rank(Ids& ids) const {
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return value(a) > value(b); });
  }

  // Positions in the order of keys, as many as their weights need to sum up to the bound.
  static std::vector<size_t> fewest(const std::vector<double>& keys, const std::vector<double>& weights, double bound) {
    std::vector<size_t> order(keys.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return keys[a] > keys[b]; });
    size_t kept = 0;
    for (double taken = 0; taken < bound && kept < order.size();) taken += weights[order[kept++]];
    order.resize(kept);
    return order;
  }

  int32_t choose() const {
    Ids ids(values_.size());
    std::iota(ids.begin(), ids.end(), 0);
    if (row_.top_k > 0 && static_cast<size_t>(row_.top_k) < ids.size()) {
      rank(ids);
      ids.resize(static_cast<size_t>(row_.top_k));
    }
    if (row_.typical_p < 1) keep_typical(ids);
    if (row_.top_p < 1) {
      rank(ids);
      const double bound = sum(weigh_in_order_of_ids_or_rank(ids)) * row_.top_p;
      const std::vector<double> weights = weigh(ids, 1);
      double taken = 0;
      size_t kept = 0;
      while (taken < bound && kept < ids.size()) taken += weights[kept++];
      ids.resize(kept);
    }
    if (row_.min_p > 0) {
      double highest = -INFINITY;
      for (int32_t id : ids) highest = std::max(highest, static_cast<double>(value(id)));
      const double least = highest + oracle_log(row_.min_p);
      ids.erase(std::remove_if(ids.begin(), ids.end(), [&](int32_t id) { return !(value(id) >= least); }), ids.end());
    }
    const std::vector<double> weights = weigh(ids, row_.temperature);
    const double target = row_.random * sum(weights);
    double taken = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      taken += weights[i];
      if (taken > target) return ids[i];
    }
    size_t last = ids.size() - 1;
    while (weights[last] == 0) --last;
    return ids[last];
  }

  // The total of the nucleus is taken before ranking: by id, unless topK has ranked already.
  std::vector<double> weigh_in_order_of_ids_or_rank(Ids ids) const {
    if (row_.top_k == 0 || static_cast<size_t>(row_.top_k) >= values_.size()) std::sort(ids.begin(), ids.end());
    return weigh(ids, 1);
  }

  void keep_typical(Ids& ids) const {
    const std::vector<double> weights = weigh(ids, 1);
    const double total = sum(weights);
    double highest = -INFINITY;
    for (int32_t id : ids) highest = std::max(highest, static_cast<double>(value(id)));
    double expected = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (weights[i] > 0) expected += weights[i] / total * (highest - value(ids[i]));
    }
    std::vector<double> keys;
    for (size_t i = 0; i < ids.size(); ++i) {
      keys.push_back(weights[i] == 0 ? -INFINITY : -std::fabs(highest - value(ids[i]) - expected));
    }
    std::vector<size_t> kept = fewest(keys, weights, total * row_.typical_p);
    std::sort(kept.begin(), kept.end());
    Ids typical;
    for (size_t position : kept) typical.push_back(ids[position]);
    ids = typical;
  }

  void report(OracleResult& result) const {
    const auto highest = static_cast<double>(*std::max_element(logits_.begin(), logits_.end()));
    double total = 0;
    for (float logit : logits_) total += oracle_exp(logit - highest);
    const double log_total = oracle_log(total);
    const auto logprob = [&](int32_t id) { return logits_[static_cast<size_t>(id)] - highest - log_total; };
    result.head.logprob = logprob(result.head.id);
    Ids ids(logits_.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
      return logits_[static_cast<size_t>(a)] > logits_[static_cast<size_t>(b)];
    });
    ids.resize(std::min(ids.size(), static_cast<size_t>(row_.alternatives)));
    for (int32_t id : ids) result.alternatives.push_back({logprob(id), id});
    result.head.alternatives = static_cast<int32_t>(ids.size());
  }

  const std::vector<float>& logits_;
  std::vector<float> values_;
  const OracleRow& request_;
  const SampleRow& row_;
};

}  // namespace tesserae::sample_testing
