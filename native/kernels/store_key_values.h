// store_key_values: writes the keys and values of tokens into the pages of a cache (layout: key_value_pages.h).
// Recorded by src/ops/paged/paged-attention.ts.
#pragma once

#include <algorithm>

#include "core/op.h"
#include "kernels/key_value_pages.h"

namespace tesserae {

// The keys and values of row t are written to position positions[t] of the sequence in slot sequences[t]; no two rows
// have the same place. Rows whose sequence is -1 are padding and are skipped. Any other slot or position that the table
// does not have, or whose page is missing, ends the tile with KernelStatus::index_out_of_range. f16 rounds to nearest,
// ties to even. q8_0: scale = f16(max |x| / 127), integer = x · (1 / scale) rounded to nearest, ties to even, and clamped
// to -127 .. 127.
struct StoreKeyValuesParams {
  Pointer<const float> k;            // [rows, kv_heads, dim] by strides
  Pointer<const float> v;            // [rows, kv_heads, v_dim] by strides
  Pointer<const int32_t> positions;  // [rows]
  Pointer<const int32_t> sequences;  // [rows]
  int64_t rows;
  int64_t kv_heads;
  int64_t dim;
  int64_t v_dim;
  int64_t k_row, k_head;
  int64_t v_row, v_head;
  int64_t tile_rows;
  KeyValuePages cache;
};

KernelStatus store_key_values_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

// Calls store(row, cache, page, in_page) for each key-value head of each row of a tile: the row's place is position
// `in_page` of the page.
template <typename Store>
static inline KernelStatus store_tile(const StoreKeyValuesParams& p, int64_t tile, Store store) {
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.rows);
  for (int64_t row = first; row < last; ++row) {
    const int64_t slot = p.sequences[row];
    if (slot == kPaddingRow) continue;
    const int64_t position = p.positions[row];
    unsigned char* page = find_page(p.cache, slot, position);
    if (page == nullptr) return KernelStatus::index_out_of_range;
    for (int64_t head = 0; head < p.kv_heads; ++head) {
      const KeyValueRow stored = {head, p.k + row * p.k_row + head * p.k_head, p.v + row * p.v_row + head * p.v_head,
                                  p.dim, p.v_dim};
      store(stored, p.cache, page, position & (p.cache.page_positions - 1));
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
