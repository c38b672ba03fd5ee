// store_key_values: writes the keys and values of tokens into the pages of a cache (layout: key_value_pages.h).
// Recorded by src/ops/paged/paged-attention.ts.
#pragma once

#include <algorithm>

#include "core/op.h"
#include "kernels/key_value_pages.h"

namespace tesserae {

// The keys and values of token t are written to position positions[t]; no two tokens have the same position. A position
// outside the table, or whose page is missing, ends the tile with KernelStatus::index_out_of_range. f16 rounds to
// nearest, ties to even. q8_0: scale = f16(max |x| / 127), integer = x · (1 / scale) rounded to nearest, ties to even,
// and clamped to -127 .. 127.
struct StoreKeyValuesParams {
  const float* k;  // [tokens, kv_heads, dim] by strides
  const float* v;  // [tokens, kv_heads, v_dim] by strides
  const int32_t* positions;
  int64_t tokens;
  int64_t kv_heads;
  int64_t dim;
  int64_t v_dim;
  int64_t k_token, k_head;
  int64_t v_token, v_head;
  int64_t tile_tokens;
  KeyValuePages cache;
};

KernelStatus store_key_values_ref(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus store_key_values_avx2(const OpRecord& op, int64_t tile, Scratch& scratch);

// Calls store(token, head, position) for each key-value head of each token of a tile.
template <typename Store>
static inline KernelStatus store_tile(const StoreKeyValuesParams& p, int64_t tile, Store store) {
  const int64_t first = tile * p.tile_tokens;
  const int64_t last = std::min(first + p.tile_tokens, p.tokens);
  for (int64_t token = first; token < last; ++token) {
    const int64_t position = p.positions[token];
    if (position < 0 || position >= p.cache.page_count * p.cache.page_positions) {
      return KernelStatus::index_out_of_range;
    }
    if (key_value_page(p.cache, position) == nullptr) return KernelStatus::index_out_of_range;
    for (int64_t head = 0; head < p.kv_heads; ++head) store(token, head, position);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
