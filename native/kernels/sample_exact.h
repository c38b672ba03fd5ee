// Samples a row with any options: one scalar step after the other, as sampler.ts has them. What the reference does, and the
// vector sets where they have no faster way.
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

Best best_of(const RowValues& values, float* buffer) {
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

int32_t choose_exact(const RowValues& values, const SampleRow& row, const SampleMemory& memory) {
  Candidates candidates(values, memory.buffer, memory.candidates);
  if (row.top_k > 0 && row.top_k < values.count()) candidates.keep_top(row.top_k);
  if (row.typical_p < 1) candidates.keep_typical(row.typical_p);
  if (row.top_p < 1) candidates.keep_nucleus(row.top_p);
  if (row.min_p > 0) candidates.keep_above_min_p(row.min_p);
  return candidates.draw(row.temperature, row.random);
}

// Of the logits as they are, the highest of which is given.
void report_exact(const RowValues& logits, float highest, const SampleMemory& memory, int64_t alternatives,
                  SampleResult& result) {
  double total = 0;
  float chosen = highest;
  logits.each(memory.buffer, [&](float value, int32_t id) {
    total += portable_exp(static_cast<double>(value) - highest);
    if (id == result.id) chosen = value;
    return true;
  });
  const double log_total = portable_log(total);
  const auto logprob_of = [&](float value) { return static_cast<double>(value) - highest - log_total; };
  result.logprob = logprob_of(chosen);
  auto* reported = reinterpret_cast<SampleAlternative*>(&result + 1);
  const auto source = [&](auto take) {
    logits.each(memory.buffer, [&](float value, int32_t id) {
      take(Candidate{value, id});
      return true;
    });
  };
  each_in_order(Likelier{}, memory.candidates, alternatives, source, [&](Candidate candidate) {
    reported[result.alternatives++] = {logprob_of(candidate.value), candidate.id};
    return true;
  });
}

// A row of sample. `way` chooses how: what the functions above do, or the same faster.
template <typename Way>
KernelStatus sample_row(const OpRecord& op, int64_t tile, Scratch& scratch, Way way) {
  const auto& p = op.as<SampleParams>();
  const SampleRow& row = p.rows[tile];
  auto& result = *reinterpret_cast<SampleResult*>(p.results + tile * p.result_bytes);
  result = {SampleStatus::unused, -1, 0, 0};
  if (row.is_used == 0) return KernelStatus::ok;
  if (!row_is_valid(row, p)) return KernelStatus::index_out_of_range;
  const SampleMemory memory(scratch);
  const float* logits = p.logits + tile * p.row_stride;
  const RowValues raw(logits, p.vocabulary);
  const RowValues changed(logits, p.vocabulary, row);
  const Best likeliest = way.best(raw, memory);
  Best best = likeliest;
  if (status_of(best) == SampleStatus::chosen && changed.are_changed()) best = way.best(changed, memory);
  result.status = status_of(best);
  result.id = best.id;
  if (result.status != SampleStatus::chosen) return KernelStatus::ok;
  if (row.temperature != 0) {
    const int32_t drawn = way.choose(changed, best, row, memory);
    if (drawn >= 0) result.id = drawn;
  }
  if (row.alternatives >= 0) way.report(raw, likeliest.value, memory, row.alternatives, result);
  return KernelStatus::ok;
}

}  // namespace
}  // namespace tesserae
