// Samples a row with any options, in the steps of sampler.ts, with scalar code. The reference uses it for all rows, the
// vector sets for rows that their fast code declines.
#pragma once

#include "kernels/sample_candidates.h"

namespace tesserae {
namespace {

// The first of the highest values, or the first NaN.
struct Best {
  int32_t id;
  float value;
};

static inline SampleStatus status_of(Best best) {
  if (std::isnan(best.value)) return SampleStatus::nan;
  if (best.value == INFINITY) return SampleStatus::infinite;
  return best.value == -INFINITY ? SampleStatus::nothing : SampleStatus::chosen;
}

template <typename Way>
Best best_of(const RowValues<Way>& values, float* buffer) {
  Best best = {-1, -INFINITY};
  values.each(buffer, [&](float value, int32_t id) {
    if (value > best.value || best.id < 0 || std::isnan(value)) best = {id, value};
    return !std::isnan(value);
  });
  return best;
}

struct SampleMemory {
  float* buffer;  // of kSampleBlock values
  CandidateMemory candidates;

  explicit SampleMemory(const Scratch& scratch) : buffer(reinterpret_cast<float*>(scratch.data)) {
    constexpr size_t kBuffer = kSampleBlock * sizeof(float);
    static_assert(kBuffer + 2 * sizeof(Candidate) <= kSampleScratchBytes, "room for two candidates at least");
    candidates.data = reinterpret_cast<Candidate*>(scratch.data + kBuffer);
    candidates.size = static_cast<int64_t>((scratch.size_bytes - kBuffer) / sizeof(Candidate));
  }
};

struct Choice {
  int32_t id;  // -1 if all weights are 0
  bool is_declined;
};

template <typename Way>
int32_t choose_exact(const RowValues<Way>& values, const SampleRow& row, const SampleMemory& memory) {
  Candidates<Way> candidates(values, memory.buffer, memory.candidates);
  if (row.top_k > 0 && row.top_k < values.count()) candidates.keep_top(row.top_k);
  if (row.typical_p < 1) candidates.keep_typical(row.typical_p);
  if (row.top_p < 1) candidates.keep_nucleus(row.top_p);
  if (row.min_p > 0) candidates.keep_above_min_p(row.min_p);
  return candidates.draw(row.temperature, row.random);
}

// The sum of e^(logit - highest), in the order of ids.
template <typename Way>
double total_of(const RowValues<Way>& logits, double highest, float* buffer) {
  double total = 0;
  logits.each(buffer, [&](float value, int32_t) {
    total += portable_exp(value - highest);
    return true;
  });
  return total;
}

// Writes the log probabilities. `highest` is the highest unchanged logit, `total` the sum of total_of.
template <typename Way>
void report(const RowValues<Way>& logits, double highest, double total, const SampleMemory& memory,
            int64_t alternatives, SampleResult& result) {
  const double log_total = portable_log(total);
  const auto logprob_of = [&](float value) { return value - highest - log_total; };
  result.logprob = logprob_of(logits.logit(result.id));
  auto* reported = reinterpret_cast<SampleAlternative*>(&result + 1);
  const auto source = [&](const float& least, auto take) {
    logits.each(memory.buffer, least, [&](float value, int32_t id) {
      take(Candidate{value, id});
      return true;
    });
  };
  each_in_order(Likelier{}, memory.candidates, alternatives, source, [&](Candidate candidate) {
    reported[result.alternatives++] = {logprob_of(candidate.value), candidate.id};
    return true;
  });
}

// Computes a tile. `Way` is the code that chooses: ExactWay of the reference, or FastWay.
template <typename Way>
KernelStatus sample_row(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<SampleParams>();
  const SampleRow& row = p.rows[tile];
  auto& result = *reinterpret_cast<SampleResult*>(p.results + tile * p.result_bytes);
  result = {SampleStatus::unused, -1, 0, 0, 0};
  if (row.is_used == 0) return KernelStatus::ok;
  if (!row_is_valid(row, p)) return KernelStatus::index_out_of_range;
  const SampleMemory memory(scratch);
  const float* logits = p.logits + tile * p.row_stride;
  const typename Way::Values raw(logits, p.vocabulary);
  const typename Way::Values changed(logits, p.vocabulary, row);
  Way way;
  const Best likeliest = way.best(raw, memory);
  Best best = likeliest;
  if (status_of(best) == SampleStatus::chosen && changed.are_changed()) best = way.best(changed, memory);
  result.status = status_of(best);
  result.id = best.id;
  if (result.status != SampleStatus::chosen) return KernelStatus::ok;
  if (row.temperature != 0) {
    const Choice choice = way.choose(changed, best, row, memory);
    if (choice.id >= 0) result.id = choice.id;
    result.is_declined = choice.is_declined ? 1 : 0;
  }
  if (row.alternatives < 0) return KernelStatus::ok;
  const double total = way.total(raw, likeliest, memory);
  report(raw, likeliest.value, total, memory, row.alternatives, result);
  return KernelStatus::ok;
}

}  // namespace
}  // namespace tesserae
