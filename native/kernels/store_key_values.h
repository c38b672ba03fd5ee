// store_key_values: writes the keys and values of tokens to their places in the pages of a cache.
#pragma once

#include <algorithm>

#include "core/op.h"
#include "kernels/key_value_pages.h"

namespace tesserae {

// Token t's keys and values go to position positions[t]; no two tokens to the same. A position outside the pages, or in
// one that is not there, ends the tile with KernelStatus::index_out_of_range. f16 rounds to nearest, ties to even.
// q8_0: scale = f16(max |x| / 127), integer = x / scale rounded to nearest, ties to even, and clamped.
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
