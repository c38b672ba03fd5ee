// Scalar reference of paged_attention, the oracle of its tests.
#include "kernels/paged_attention.h"

#include "kernels/ref/attention_row.h"
#include "kernels/ref/page_elements.h"
#include "kernels/ref/quantize_block.h"
#include "kernels/ref/prepare_head.h"
#include "kernels/ref/store_row.h"

namespace tesserae {

KernelStatus paged_attention_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<PagedAttentionParams>();
  const auto prepare = [&](int64_t position, const float* weight, float* x) {
    prepare_head_ref(p, position, weight, x, x);
  };
  const auto attend = [&](const PagedItem& item) {
    const AttentionParams& a = item.attention;
    const PageKeys k = {p.cache, item.pages, item.tile.kv_head, a.dim};
    const PageValues v = {p.cache, item.pages, item.tile.kv_head, a.v_dim};
    for_each_row(a, item.tile, [&](const AttentionRow& row) { attend_row_ref(a, row, k, v, scratch); });
  };
  const auto fetch = [](const KeyValueRow&, const KeyValuePages&, const unsigned char*, int64_t) {};
  return attend_items(p, tile, prepare, store_row_ref, fetch, attend, quantize_row_ref);
}

}  // namespace tesserae
