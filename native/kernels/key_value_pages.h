// Pages of a key-value cache: how the keys and values of one layer and head lie in a page. Shared by the kernels that
// write pages (store_key_values) and those that read them (paged_attention); src/ops/paged-key-values.ts has the sizes.
#pragma once

#include <cstdint>

namespace tesserae {

// How keys and values are kept. The numbers are shared with src/ops/paged-key-values.ts.
//   q8_0: blocks of 32 dims share a scale in f16; value = scale · integer in -127 .. 127, exact in f32. A block that
//   holds a NaN or an infinity is NaN throughout.
enum class KeyValueType : int64_t { f32 = 0, f16 = 1, q8_0 = 2 };

constexpr int64_t kKeyPanel = 16;        // keys side by side
constexpr int64_t kQuantizedBlock = 32;  // dims that share a scale

// One layer of a paged cache. Position j stands in page j / page_positions, whose address is pages[j / page_positions];
// 0 is no page. In a page, at keys_offset, lie the heads' keys one after the other, at values_offset the values:
//
//   keys of a head     panels of 16 positions, as attention multiplies them:   f32, f16  [dim][16]
//                                              q8_0  for each block of 32 dims: int8 [32][16], then f16 scale [16]
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

// Bytes of the keys (or values) of one head in a page.
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

// The first position's keys of a head, in the page that holds `position`.
static inline unsigned char* keys_in_page(const KeyValuePages& p, int64_t position, int64_t head, int64_t dim) {
  return key_value_page(p, position) + p.keys_offset + head * key_value_head_bytes(p, dim);
}

static inline unsigned char* values_in_page(const KeyValuePages& p, int64_t position, int64_t head, int64_t v_dim) {
  return key_value_page(p, position) + p.values_offset + head * key_value_head_bytes(p, v_dim);
}

// Bytes of a panel of 16 keys, quantized.
static inline int64_t quantized_panel_bytes(int64_t dim) {
  return dim / kQuantizedBlock * (kQuantizedBlock * kKeyPanel + 2 * kKeyPanel);
}

}  // namespace tesserae
