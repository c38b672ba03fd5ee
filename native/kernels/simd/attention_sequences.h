// Attention of sequences that follow each other: each item of the work list is an attention of its own. Included by
// sequence_attention.cpp.
#pragma once

#include "kernels/simd/attention_whole.h"
#include "kernels/simd/quantize_block.h"
#include "kernels/sequence_attention.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

inline KernelStatus sequence_tile(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto attend = [&](const AttentionParams& a, const AttentionTile& tile) {
    attend_whole<float>(a, tile, scratch);
  };
  // A function that is always inlined has no address.
  const auto quantize = [](const float* x, int64_t columns, ActivationBlock* y) { quantize_row(x, columns, y); };
  return attend_sequences(op.as<SequenceAttentionParams>(), tile_index, attend, quantize);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
