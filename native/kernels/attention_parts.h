// The partial results of attention: what a row and head make of one key block. paged_attention_parts computes them,
// merge_attention_parts merges them, so that the key blocks of a row can be cut into tiles. Included by both.
#pragma once

#include "kernels/attention.h"

namespace tesserae {

// Row r has the parts starts[r] .. starts[r + 1] - 1, one for each key block that it sees, in ascending order: none if it
// sees no key. Both numbers are data, as the work lists of paged_attention.h, so kernels check them in each run.
//
// A part has a line for each head, part_line(v_dim) floats: the sums over keys of weight · v, not normalised, padded to
// whole panels of 16; then the maximum of the scores and the sum of the weights (the bits of a row, in attention.h).
struct AttentionParts {
  Pointer<float> lines;            // [most, heads, part_line(v_dim)]
  Pointer<const int32_t> starts;   // [rows + 1]: ascending, 0 .. most
  int64_t most;
};

constexpr int64_t kPartPanel = 16;

// Where in a line the maximum is; the sum of the weights follows it.
static inline int64_t part_maximum(int64_t v_dim) { return (v_dim + kPartPanel - 1) / kPartPanel * kPartPanel; }
static inline int64_t part_line(int64_t v_dim) { return part_maximum(v_dim) + kPartPanel; }

// The parts of a row: first .. first + count - 1.
struct PartRange {
  int64_t first;
  int64_t count;
};

// Reads the parts of a row. Returns false if they are not within those that exist.
static inline bool read_parts(const AttentionParts& p, int64_t row, PartRange* range) {
  const int64_t begin = p.starts[row];
  const int64_t end = p.starts[row + 1];
  *range = {begin, end - begin};
  return begin >= 0 && begin <= end && end <= p.most;
}

}  // namespace tesserae
