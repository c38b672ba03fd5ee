// The outputs of attention in 8 bits beside those in f32, for a product with quantized weights that follows. Included by
// the attention ops of recorded models.
#pragma once

#include "kernels/attention.h"
#include "kernels/quantized_rows.h"

namespace tesserae {

// If `blocks` is not null, calls quantize(row, columns, blocks) for these rows of `out`, and the heads of kv_head.
// blocks: [query][head][v_dim / 32]; v_dim is a multiple of 32.
template <typename Quantize>
static inline void quantize_outputs(const AttentionParams& a, ActivationBlock* blocks, int64_t kv_head,
                                    int64_t first_query, int64_t queries, Quantize quantize) {
  if (blocks == nullptr) return;
  const int64_t group = a.heads / a.kv_heads;
  for (int64_t query = first_query; query < first_query + queries; ++query) {
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const float* row = a.out + query * a.out_row + head * a.out_head;
      quantize(row, a.v_dim, blocks + (query * a.heads + head) * (a.v_dim / kActivationBlock));
    }
  }
}

}  // namespace tesserae
