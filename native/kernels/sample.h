// sample: chooses the next token of each row of logits, with the bits of test/support/sampling/sampler.ts, and computes
// log probabilities with those of test/support/sampling/logprob-reader.ts. Recorded by src/ops/sampling/sample.ts.
// Random numbers are drawn by the coordinator.
#pragma once

#include <cstdint>

#include "core/op.h"

namespace tesserae {

// Added to the logit of a token. Sorted by id; of several for one token the first is added first.
struct SampleBias {
  double id;  // an integer
  double bias;
};

// A token of the window that the penalties look at, and how often it occurs there. Sorted by id, each id once.
struct SampleRecent {
  int32_t id;
  int32_t count;
};

// The parameters of one row. The coordinator writes them before each run, in the layout of
// src/ops/sampling/sample-rows.ts. The options are those of SamplingOptions; TypeScript has checked their ranges.
struct SampleRow {
  double temperature;  // 0 takes the most likely token
  double typical_p;    // 1: all
  double top_p;        // 1: all
  double min_p;        // 0: all
  double random;       // in [0, 1); not read at temperature 0
  double repetition;
  double presence;
  double frequency;
  Pointer<const SampleBias> biases;
  Pointer<const SampleRecent> recent;
  Pointer<const uint32_t> allowed;  // a bit for each token, from the lowest bit of a word up; null: all are allowed
  int32_t is_used;          // 0: the row is not sampled, its result is SampleStatus::unused
  int32_t top_k;            // 0: no limit
  int32_t bias_count;
  int32_t recent_count;
  int32_t alternatives;  // number of most likely tokens to report with log probabilities; -1: no log probabilities
  int32_t reserved[5];
};
static_assert(sizeof(SampleRow) == 128, "src/ops/sampling/sample-rows.ts counts on it");

// The numbers are shared with src/ops/sampling/sample-rows.ts. A row that fails does not affect the other rows.
enum class SampleStatus : int32_t {
  unused = 0,
  chosen = 1,
  nothing = 2,   // no logit is above -infinity
  nan = 3,       // the logit of `id` is NaN
  infinite = 4,  // the logit of `id` is +infinity
};

struct SampleAlternative {
  double logprob;
  int64_t id;
};

// Followed by the alternatives, the most likely first.
struct SampleResult {
  SampleStatus status;
  int32_t id;
  double logprob;  // of the chosen token, if log probabilities are asked for
  int32_t alternatives;
  int32_t is_declined;  // 1 if the fast code gave up and the code of the reference chose the token
};

// A tile is one row. If the parameters of a row contain an id outside the vocabulary, unsorted lists, or more
// alternatives than fit, the tile ends with KernelStatus::index_out_of_range.
struct SampleParams {
  Pointer<const float> logits;
  int64_t row_stride;  // of the logits, in elements
  int64_t vocabulary;  // 1 to 2^31 - 1
  Pointer<const SampleRow> rows;
  Pointer<unsigned char> results;    // a SampleResult for each row
  int64_t result_bytes;      // from one result to the next
  int64_t most_alternatives;  // that fit behind a result
};

// The order of every sum is that of sampler.ts, one term after the other: candidates are in the order of their ids,
// after topK or topP in the order of their probabilities. Any scratch of at least kSampleScratchBytes is enough:
// candidates that do not fit are computed again in each pass.
constexpr int64_t kSampleScratchBytes = 8192;

KernelStatus sample_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
