// A strip of attention: the rows whose scores with a key block are in memory at a time. attention_rows.h passes strips
// to the micro-kernels.
#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/simd/attention_pack.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

// Rows of a strip. Their scores with a key block are 12 KiB, which stay in L1 beside a V panel of 16 KiB.
constexpr int64_t kStripRows = 12;
constexpr int64_t kMaxStripRows = 16;  // rounded up to whole vectors
static_assert(kStripRows <= kMaxStripRows);
static_assert(kAttentionKeyBlock % kPanel == 0, "a key block is whole panels");

// The values of a key block: column c of key j is at first[c / 16 · panel_stride + j · row_stride + c mod 16].
struct ValuePanels {
  const float* first;
  int64_t row_stride;
  int64_t panel_stride;
};

// A key block in the layout that the micro-kernels read. A panel of keys is [dim][16].
struct BlockPanels {
  const float* keys[kAttentionKeyBlock / kPanel];
  ValuePanels values;
};

// Where the outputs of a key block go.
enum class Outputs {
  merged,  // into the rows' totals
  whole,   // the rows see keys of this block only: they are the results
  parts,   // stored as they are (attention_parts.h)
};

// A strip during one key block; arrays have an entry for each row.
struct Strip {
  alignas(32) int32_t keys[kMaxStripRows];     // how many of the block's keys the row sees
  alignas(32) float block_max[kMaxStripRows];
  alignas(32) float block_sum[kMaxStripRows];
  alignas(32) float keep[kMaxStripRows];       // factor of the total so far; only if merged
  alignas(32) float take[kMaxStripRows];       // factor of the block's outputs; not for parts
  float* to[kStripRows];                       // the row's total, its output, or its part
  int64_t rows;
  int64_t most;        // the maximum of `keys`
  Outputs outputs;
  float* scores;       // [rows][kAttentionKeyBlock]; replaced by the weights
  ValuePanels values;
  alignas(64) float maxima[kStripRows * kPanel];  // maxima of the scores by key mod 16
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
