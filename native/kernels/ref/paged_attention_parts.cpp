// Scalar reference of paged_attention_parts, the oracle of its tests.
#include "kernels/paged_attention_parts.h"

#include "kernels/ref/attention_row.h"
#include "kernels/ref/page_elements.h"
#include "kernels/ref/prepare_head.h"
#include "kernels/ref/store_row.h"

namespace tesserae {

KernelStatus paged_attention_parts_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<PagedAttentionPartsParams>();
  float* scores = reinterpret_cast<float*>(scratch.data);
  float* changed = scores + kAttentionKeyBlock;
  const auto prepare = [&](int64_t position, const float* weight, const float* x, float* y) {
    prepare_head_ref(p, position, weight, x, y);
  };
  const auto attend = [&](const PagedItem& item, int64_t part) {
    const AttentionParams& a = item.attention;
    const PageKeys k = {p.cache, item.pages, item.tile.kv_head, a.dim};
    const PageValues v = {p.cache, item.pages, item.tile.kv_head, a.v_dim};
    for_each_row(a, item.tile, [&](AttentionRow row) {
      if (changes_heads(p)) {
        prepare(item.positions[0], p.norms.q_weight, row.q, changed);
        row.q = changed;
      }
      for (int64_t begin = item.first, at = part; begin < item.limit; begin += kAttentionKeyBlock, ++at) {
        float* line = p.parts.lines + (at * a.heads + row.head) * part_line(a.v_dim);
        const BlockResult result = attend_block_ref(a, row, k, v, begin, scores, line);
        line[part_maximum(a.v_dim)] = result.maximum;
        line[part_maximum(a.v_dim) + 1] = result.sum;
      }
    });
  };
  return attend_runs(p, tile, prepare, store_row_ref, attend);
}

}  // namespace tesserae
