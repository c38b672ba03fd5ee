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
constexpr int64_t kPaddingRow = -1;      // in place of a slot: the row belongs to no sequence

// One layer of a paged cache that many sequences share. A sequence has a slot, a line of the table: its position j is
// stored in the page whose number is table[slot][j / page_positions]. The directory gives the address of each page by
// its number. Both are data that may change from run to run, so kernels check slot, position, number and address in each
// run (find_page): a wrong number never becomes a wild access.
//
// In a page the heads' keys start at keys_offset, one head after the other, and the heads' values at values_offset:
//
//   keys of a head     panels of 16 positions, the layout that the attention micro-kernel reads:
//                      f32, f16  [dim][16]
//                      q8_0      for each block of 32 dims: int8 [32][16], then f16 scale [16]
//   values of a head   f32, f16  [page_positions][v_dim]
//                      q8_0      int8 [page_positions][v_dim], then f16 scale [page_positions][v_dim / 32]
struct KeyValuePages {
  Pointer<const int64_t> directory;  // [directory_count]; 0: there is no such page
  int64_t directory_count;
  Pointer<const int32_t> table;  // [slots, slot_pages]; -1: no page
  int64_t slots;
  int64_t slot_pages;
  int64_t page_positions;  // a power of two: a multiple of kKeyPanel that divides kAttentionKeyBlock
  int64_t keys_offset;     // in bytes; a multiple of 64
  int64_t values_offset;
  KeyValueType type;
};

// The keys and values of one row and head, before they are stored.
struct KeyValueRow {
  int64_t head;
  const float* k;
  const float* v;
  int64_t dim;
  int64_t v_dim;
};

// The pages of one sequence. Its users have checked the pages that they read with find_page.
struct SequencePages {
  const int64_t* directory;
  const int32_t* numbers;  // the sequence's line of the table
  int64_t shift;           // log2 of page_positions

  unsigned char* page(int64_t position) const {
    return reinterpret_cast<unsigned char*>(directory[numbers[position >> shift]]);
  }
};

static inline int64_t page_shift(const KeyValuePages& p) {
  return __builtin_ctzll(static_cast<unsigned long long>(p.page_positions));
}

// `slot` is one of the table's.
static inline SequencePages pages_of_slot(const KeyValuePages& p, int64_t slot) {
  return {p.directory, p.table + slot * p.slot_pages, page_shift(p)};
}

// The page of a position of the sequence in `slot`; null if the slot or the position is outside of the table, or if
// there is no such page.
static inline unsigned char* find_page(const KeyValuePages& p, int64_t slot, int64_t position) {
  if (slot < 0 || slot >= p.slots || position < 0) return nullptr;
  const int64_t index = position >> page_shift(p);
  if (index >= p.slot_pages) return nullptr;
  const int64_t number = p.table[slot * p.slot_pages + index];
  if (number < 0 || number >= p.directory_count) return nullptr;
  return reinterpret_cast<unsigned char*>(p.directory[number]);
}

// Whether all positions from first to limit - 1 have pages; `first` is the first of a page.
static inline bool has_pages(const KeyValuePages& p, int64_t slot, int64_t first, int64_t limit) {
  for (int64_t position = first; position < limit; position += p.page_positions) {
    if (find_page(p, slot, position) == nullptr) return false;
  }
  return true;
}

// Size in bytes of the keys (or values) of one head in a page.
static inline int64_t key_value_head_bytes(const KeyValuePages& p, int64_t dim) {
  switch (p.type) {
    case KeyValueType::f32: return p.page_positions * dim * 4;
    case KeyValueType::f16: return p.page_positions * dim * 2;
    default: return p.page_positions * (dim + dim / kQuantizedBlock * 2);
  }
}

// Where the keys of a head start in a page, in bytes.
static inline int64_t keys_of_head(const KeyValuePages& p, int64_t head, int64_t dim) {
  return p.keys_offset + head * key_value_head_bytes(p, dim);
}

static inline int64_t values_of_head(const KeyValuePages& p, int64_t head, int64_t v_dim) {
  return p.values_offset + head * key_value_head_bytes(p, v_dim);
}

// Size in bytes of a panel of keys, in any type.
static inline int64_t key_panel_bytes(const KeyValuePages& p, int64_t dim) {
  return key_value_head_bytes(p, dim) * kKeyPanel / p.page_positions;
}

// The panel of keys of a head that holds a position, in its page.
static inline const unsigned char* key_panel_of(const KeyValuePages& p, const unsigned char* page, int64_t head, int64_t dim,
                                                int64_t position) {
  return page + keys_of_head(p, head, dim) + (position & (p.page_positions - 1)) / kKeyPanel * key_panel_bytes(p, dim);
}

// Size in bytes of a quantized panel of 16 keys.
static inline int64_t quantized_panel_bytes(int64_t dim) {
  return dim / kQuantizedBlock * (kQuantizedBlock * kKeyPanel + 2 * kKeyPanel);
}

}  // namespace tesserae
