// The layout of a page of a key-value cache: where the keys and values of one layer and head are stored. Used by the
// kernels that write pages (store_key_values) and that read them (paged_attention). src/ops/paged/key-value-pages.ts
// computes the sizes.
#pragma once

#include <cstdint>

namespace tesserae {

// The type in which keys and values are stored. The numbers are shared with src/ops/paged/key-value-pages.ts.
//   q8_0: each block of 32 dims has one f16 scale; value = scale · integer, integer in -127 .. 127; the product is
//   exact in f32. A block that contains a NaN or an infinity reads as NaN in every element.
enum class KeyValueType : int64_t { f32 = 0, f16 = 1, q8_0 = 2 };

constexpr int64_t kKeyPanel = 16;        // keys interleaved in a panel
constexpr int64_t kQuantizedBlock = 32;  // dims that share a scale

// One layer of a paged cache. Position j is stored in page j / page_positions, whose address is
// pages[j / page_positions]; address 0 means that there is no page. In a page the heads' keys start at keys_offset, one
// head after the other, and the heads' values at values_offset:
//
//   keys of a head     panels of 16 positions, the layout that the attention micro-kernel reads:
//                      f32, f16  [dim][16]
//                      q8_0      for each block of 32 dims: int8 [32][16], then f16 scale [16]
//   values of a head   f32, f16  [page_positions][v_dim]
//                      q8_0      int8 [page_positions][v_dim], then f16 scale [page_positions][v_dim / 32]
struct KeyValuePages {
  const int64_t* pages;
  int64_t page_count;
  int64_t page_positions;  // a multiple of 16 that divides kAttentionKeyBlock
  int64_t keys_offset;     // in bytes; a multiple of 64
  int64_t values_offset;
  KeyValueType type;
};

// Size in bytes of the keys (or values) of one head in a page.
static inline int64_t key_value_head_bytes(const KeyValuePages& p, int64_t dim) {
  switch (p.type) {
    case KeyValueType::f32: return p.page_positions * dim * 4;
    case KeyValueType::f16: return p.page_positions * dim * 2;
    default: return p.page_positions * (dim + dim / kQuantizedBlock * 2);
  }
}

static inline unsigned char* key_value_page(const KeyValuePages& p, int64_t position) {
  return reinterpret_cast<unsigned char*>(p.pages[position / p.page_positions]);
}

// Start of the keys of a head in the page that contains `position`: the page's first position, not `position` itself.
static inline unsigned char* keys_in_page(const KeyValuePages& p, int64_t position, int64_t head, int64_t dim) {
  return key_value_page(p, position) + p.keys_offset + head * key_value_head_bytes(p, dim);
}

static inline unsigned char* values_in_page(const KeyValuePages& p, int64_t position, int64_t head, int64_t v_dim) {
  return key_value_page(p, position) + p.values_offset + head * key_value_head_bytes(p, v_dim);
}

// Size in bytes of a quantized panel of 16 keys.
static inline int64_t quantized_panel_bytes(int64_t dim) {
  return dim / kQuantizedBlock * (kQuantizedBlock * kKeyPanel + 2 * kKeyPanel);
}

}  // namespace tesserae
