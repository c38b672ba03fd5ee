// Scalar reference of sequence_attention, the oracle of its tests.
#include "kernels/sequence_attention.h"

#include "kernels/ref/attention_row.h"
#include "kernels/ref/quantize_block.h"

namespace tesserae {

KernelStatus sequence_attention_ref(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto attend = [&](const AttentionParams& a, const AttentionTile& tile) {
    const auto* keys = static_cast<const float*>(a.k) + tile.kv_head * a.k_head;
    const auto* values = static_cast<const float*>(a.v) + tile.kv_head * a.v_head;
    const auto k = [&](int64_t row, int64_t d) { return keys[row * a.k_row + d]; };
    const auto v = [&](int64_t row, int64_t d) { return values[row * a.v_row + d]; };
    for_each_row(a, tile, [&](const AttentionRow& row) { attend_row_ref(a, row, k, v, scratch); });
  };
  return attend_sequences(op.as<SequenceAttentionParams>(), tile_index, attend, quantize_row_ref);
}

}  // namespace tesserae
