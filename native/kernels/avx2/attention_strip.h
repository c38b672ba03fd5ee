// A strip of attention: the few rows whose scores of a key block are held at a time, as attention_rows.h hands it to the
// micro-kernels.
#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/avx2/attention_pack.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

// Rows whose scores of a key block are held at a time: 12 KiB, beside a V panel of 16 KiB in the first-level cache.
constexpr int64_t kStripRows = 12;
constexpr int64_t kMaxStripRows = 16;  // rounded up to whole vectors
static_assert(kStripRows <= kMaxStripRows);
static_assert(kAttentionKeyBlock % kPanel == 0, "a key block is whole panels");

// Where a key block's values stand: column c of key j at first[c / 16 · panel_stride + j · row_stride + c mod 16].
struct ValuePanels {
  const float* first;
  int64_t row_stride;
  int64_t panel_stride;
};

// A key block as the micro-tiles take it. A panel of keys is [dim][16].
struct BlockPanels {
  const float* keys[kAttentionKeyBlock / kPanel];
  ValuePanels values;
};

// A strip in a key block: what its rows have of each, and where their outputs go.
struct Strip {
  alignas(32) int32_t keys[kMaxStripRows];     // how many of the block's keys a row sees
  alignas(32) float block_max[kMaxStripRows];
  alignas(32) float block_sum[kMaxStripRows];
  alignas(32) float keep[kMaxStripRows];       // factor of the total so far; not for a single block
  alignas(32) float take[kMaxStripRows];       // factor of the block's outputs
  float* to[kStripRows];                       // the row's total, or its output where this block is the only one
  int64_t rows;
  int64_t most;        // of `keys`
  bool single;         // the tile has no other key block
  float* scores;       // [rows][kAttentionKeyBlock], then the weights
  ValuePanels values;
  alignas(64) float maxima[kStripRows * kPanel];  // of the scores by key mod 16, if the micro-kernels keep them
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
