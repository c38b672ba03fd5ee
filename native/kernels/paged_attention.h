// paged_attention: attention (kernels/attention.h) that reads keys and values from the pages of a cache, in the type
// in which they are stored. It gives the same bits as `attention` over the same values in contiguous memory.
// Recorded by src/ops/paged/paged-attention.ts.
#pragma once

#include "kernels/attention.h"
#include "kernels/key_value_pages.h"
#include "kernels/quantized_rows.h"

namespace tesserae {

struct PagedAttentionParams {
  // batch is 1, causal is 1, positions are given; kv_len is the number of positions that the pages hold. k, v and their
  // strides are not used.
  AttentionParams attention;
  KeyValuePages cache;
  // If not null, receives `out` quantized to int8 as well (quantized_rows.h): [query][head][v_dim / 32]. v_dim is then
  // a multiple of 32.
  ActivationBlock* blocks;
};

// The keys that a tile reads: first .. limit - 1, where `first` is the start of a key block.
struct PagedKeys {
  int64_t first;
  int64_t limit;
};

// Computes the keys that the tile reads. Returns false if one of them has no page.
static inline bool find_keys(const PagedAttentionParams& p, const AttentionTile& tile, PagedKeys* keys) {
  *keys = {p.attention.kv_len, 0};
  for (int64_t query = tile.first_query; query < tile.first_query + tile.queries; ++query) {
    if (p.attention.positions[query] >= p.attention.kv_len) return false;
    keys->first = std::min(keys->first, attention_first(p.attention, 0, query));
    keys->limit = std::max(keys->limit, attention_limit(p.attention, 0, query));
  }
  keys->first = keys->first / kAttentionKeyBlock * kAttentionKeyBlock;
  for (int64_t key = keys->first; key < keys->limit; key += p.cache.page_positions) {
    if (key_value_page(p.cache, key) == nullptr) return false;
  }
  return true;
}

// If p.blocks is not null, calls quantize(row, columns, blocks) for each row of `out` that the tile has computed.
template <typename Quantize>
static inline void quantize_outputs(const PagedAttentionParams& p, const AttentionTile& tile, Quantize quantize) {
  if (p.blocks == nullptr) return;
  const AttentionParams& a = p.attention;
  for (int64_t query = tile.first_query; query < tile.first_query + tile.queries; ++query) {
    for (int64_t head = tile.first_head; head < tile.first_head + tile.heads; ++head) {
      const float* row = a.out + query * a.out_row + head * a.out_head;
      quantize(row, a.v_dim, p.blocks + (query * a.heads + head) * (a.v_dim / kActivationBlock));
    }
  }
}

KernelStatus paged_attention_ref(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus paged_attention_avx2(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus paged_attention_avx512(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
