// Scalar reference of merge_attention_parts, the oracle of its tests.
#include "kernels/merge_attention_parts.h"

#include "kernels/ref/attention_row.h"
#include "kernels/ref/quantize_block.h"

namespace tesserae {

KernelStatus merge_attention_parts_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<MergeAttentionPartsParams>();
  const auto merge = [&](const MergedHeads& merged) {
    for (int64_t head = 0; head < merged.heads; ++head) {
      RowTotal total(reinterpret_cast<float*>(scratch.data), p.v_dim);
      for (int64_t part = 0; part < merged.parts; ++part) {
        const float* line = merged.lines + part * merged.stride + head * part_line(p.v_dim);
        const float* results = line + part_maximum(p.v_dim);
        total.merge({results[0], results[1]}, line);
      }
      total.write(p.out + merged.row * p.out_row + (merged.first_head + head) * p.out_head);
    }
  };
  return merge_groups(p, tile, merge, quantize_row_ref);
}

}  // namespace tesserae
