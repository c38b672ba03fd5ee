// The logits of a row after bias, penalties and the mask of allowed tokens. They are changed in a buffer, one block at
// a time; the logits in memory are never written. Included by the kernels of sample.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/sample.h"

namespace tesserae {
// In an anonymous namespace, so that each kernel set has its own copy of each function.
namespace {

constexpr int64_t kSampleBlock = 1024;  // logits; a multiple of the 32 tokens of a word of `allowed`

// Whether all ids are in the vocabulary and the lists are sorted.
bool row_is_valid(const SampleRow& row, const SampleParams& p) {
  if (row.top_k < 0 || row.bias_count < 0 || row.recent_count < 0) return false;
  if (row.alternatives < -1 || row.alternatives > p.most_alternatives) return false;
  double least_id = 0;
  for (int64_t i = 0; i < row.bias_count; ++i) {
    const double id = row.biases[i].id;
    if (!(id >= least_id && id < static_cast<double>(p.vocabulary)) || std::trunc(id) != id) return false;
    least_id = id;
  }
  int64_t least = 0;
  for (int64_t i = 0; i < row.recent_count; ++i) {
    if (row.recent[i].id < least || row.recent[i].id >= p.vocabulary) return false;
    least = int64_t{row.recent[i].id} + 1;
  }
  return true;
}

template <typename Entry>
const Entry* first_from(const Entry* entries, int64_t count, int64_t id) {
  const auto is_before = [](const Entry& entry, int64_t value) { return entry.id < value; };
  return std::lower_bound(entries, entries + count, id, is_before);
}

// The two functions that the vector sets replace (SampleFloats). `forbid` sets those of 32 values to -infinity whose
// bit is 0. `none_reach` returns true only if all of 16 values are below `least`; it may return false at any time.
struct ScalarSampling {
  static void forbid(float* values, uint32_t bits) {
    for (int i = 0; i < 32; ++i) {
      if ((bits >> i & 1) == 0) values[i] = -INFINITY;
    }
  }
  static bool none_reach(const float*, float) { return false; }
};

template <typename Way>
class RowValues {
 public:
  // The unchanged logits.
  RowValues(const float* logits, int64_t count) : logits_(logits), count_(count) {}

  RowValues(const float* logits, int64_t count, const SampleRow& row) : RowValues(logits, count) {
    if (row.bias_count > 0 || row.recent_count > 0 || row.allowed != nullptr) row_ = &row;
  }

  int64_t count() const { return count_; }
  bool are_changed() const { return row_ != nullptr; }
  // The unchanged logit.
  float logit(int64_t id) const { return logits_[id]; }

  // The kSampleBlock values from `first` on, a multiple of kSampleBlock: in place, or in the buffer. Values behind the
  // last token are -infinity.
  const float* read(int64_t first, float* buffer) const {
    const int64_t count = std::min(kSampleBlock, count_ - first);
    if (row_ == nullptr && count == kSampleBlock) return logits_ + first;
    std::memcpy(buffer, logits_ + first, static_cast<size_t>(count) * sizeof(float));
    std::fill(buffer + count, buffer + kSampleBlock, -INFINITY);
    if (row_ != nullptr) change(first, count, buffer);
    return buffer;
  }

  // Calls visit(value, id) for each value by id, until it returns false.
  template <typename Visit>
  void each(float* buffer, Visit visit) const {
    each_run(buffer, [](const float*) { return false; }, visit);
  }

  // The same for values of at least `least`, which `visit` may raise. No value is NaN.
  template <typename Visit>
  void each(float* buffer, const float& least, Visit visit) const {
    each_run(buffer, [&](const float* values) { return Way::none_reach(values, least); },
             [&](float value, int32_t id) { return value < least || visit(value, id); });
  }

 private:
  // By runs of 16 values, without those for which skips(values) is true.
  template <typename Skips, typename Visit>
  void each_run(float* buffer, Skips skips, Visit visit) const {
    for (int64_t first = 0; first < count_; first += kSampleBlock) {
      const float* values = read(first, buffer);
      const int64_t count = std::min(kSampleBlock, count_ - first);
      for (int64_t from = 0; from < count; from += 16) {
        if (skips(values + from)) continue;
        const int64_t end = std::min(from + 16, count);
        for (int64_t i = from; i < end; ++i) {
          if (!visit(values[i], static_cast<int32_t>(first + i))) return;
        }
      }
    }
  }

  void change(int64_t first, int64_t count, float* buffer) const {
    const int64_t end = first + count;
    const SampleRow& row = *row_;
    const SampleBias* last_bias = row.biases + row.bias_count;
    for (const SampleBias* b = first_from<SampleBias>(row.biases, row.bias_count, first); b != last_bias && b->id < end; ++b) {
      float& value = buffer[static_cast<int64_t>(b->id) - first];
      value = static_cast<float>(value + b->bias);
    }
    const SampleRecent* last_recent = row.recent + row.recent_count;
    const SampleRecent* r = first_from<SampleRecent>(row.recent, row.recent_count, first);
    for (; r != last_recent && r->id < end; ++r) {
      float& value = buffer[r->id - first];
      const double repeated = value > 0 ? value / row.repetition : value * row.repetition;
      value = static_cast<float>(repeated - r->count * row.frequency - row.presence);
    }
    if (row.allowed == nullptr) return;
    for (int64_t from = 0; from < count; from += 32) {
      const uint32_t bits = row.allowed[(first + from) / 32];
      if (bits != UINT32_MAX) Way::forbid(buffer + from, bits);
    }
  }

  const float* logits_;
  int64_t count_;
  const SampleRow* row_ = nullptr;  // null if nothing is changed
};

}  // namespace
}  // namespace tesserae
