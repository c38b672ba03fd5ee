// merge_attention_parts: the second half of paged_attention where rows see many keys: merges the partial results that
// paged_attention_parts has computed, in ascending order of the key blocks and by the formula of attention.h. Recorded by
// src/ops/paged/attention-parts.ts.
#pragma once

#include "kernels/attention_blocks.h"
#include "kernels/attention_parts.h"

namespace tesserae {

// The heads of a row are cut into groups of tile_heads, the last one of what is left. A tile is tile_groups of these, in
// the order of the rows: tile_count = ceil(rows · ceil(heads / tile_heads) / tile_groups). The outputs of a row without
// parts are 0.
struct MergeAttentionPartsParams {
  Pointer<float> out;  // [rows, heads, v_dim]
  int64_t rows;
  int64_t heads;
  int64_t v_dim;
  int64_t out_row, out_head;  // strides, in elements
  int64_t tile_heads;         // 1 .. kMostMergedHeads
  int64_t tile_groups;
  AttentionParts parts;
  // If not null, receives `out` quantized to int8 as well (quantized_rows.h): [row][head][v_dim / 32].
  Pointer<ActivationBlock> blocks;
};

constexpr int64_t kMostMergedHeads = 8;  // their maxima and sums are merged in one vector

// Some heads of a row, and the lines of their parts: those of part i begin at lines + i · stride.
struct MergedHeads {
  int64_t row;
  int64_t first_head;
  int64_t heads;
  const float* lines;
  int64_t stride;
  int64_t parts;
};

// Computes a tile: calls merge(heads) for each group, which writes the outputs, and quantizes these.
template <typename Merge, typename Quantize>
static inline KernelStatus merge_groups(const MergeAttentionPartsParams& p, int64_t tile, Merge merge, Quantize quantize) {
  const int64_t groups = (p.heads + p.tile_heads - 1) / p.tile_heads;
  const int64_t end = std::min((tile + 1) * p.tile_groups, p.rows * groups);
  for (int64_t group = tile * p.tile_groups; group < end; ++group) {
    const int64_t row = group / groups;
    PartRange range;
    if (!read_parts(p.parts, row, &range)) return KernelStatus::index_out_of_range;
    const int64_t first = group % groups * p.tile_heads;
    const int64_t line = part_line(p.v_dim);
    const MergedHeads merged = {row,
                                first,
                                std::min(p.tile_heads, p.heads - first),
                                p.parts.lines + (range.first * p.heads + first) * line,
                                p.heads * line,
                                range.count};
    merge(merged);
    if (p.blocks == nullptr) continue;
    for (int64_t head = first; head < first + merged.heads; ++head) {
      const float* out = p.out + row * p.out_row + head * p.out_head;
      quantize(out, p.v_dim, p.blocks + (row * p.heads + head) * (p.v_dim / kActivationBlock));
    }
  }
  return KernelStatus::ok;
}

KernelStatus merge_attention_parts_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
