// paged_attention: attention (kernels/attention.h) of rows of many sequences, which reads keys and values from the pages
// of a cache, in the type in which they are stored. It gives the same bits as `attention` over the same values in
// contiguous memory. Recorded by src/ops/paged/paged-attention.ts.
#pragma once

#include "kernels/attention.h"
#include "kernels/attention_blocks.h"
#include "kernels/key_value_pages.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"

namespace tesserae {

// A piece of the work list: consecutive rows of one sequence. All heads of a key-value head are computed for it, and
// share what is read.
struct AttentionItem {
  int32_t first_query;  // the first of its rows
  int32_t queries;      // 1 .. kMostItemQueries
  int32_t slot;         // of its sequence
  int32_t reserved;     // 0
};

constexpr int64_t kMostItemQueries = 256;

// tile_count = kv_heads · lists. Tile t computes the items starts[l] .. starts[l + 1] - 1 of list l = t / kv_heads, for
// key-value head t % kv_heads. So the number of tiles is fixed when the program is recorded, while the work list is
// data: src/forward/attention-work.ts writes it before each run, so that all lists take equally long. The items cover
// each row of a sequence once; the bits of a result do not depend on how they cut the rows.
//
// Rows whose sequence is -1 (padding) are in no item. Their outputs are 0, so that later ops read nothing undefined.
//
// Decoding stores keys and values in the same op: if attention.k is not null, each row's own keys and values, f32
// [q_len, kv_heads, dim] by their strides, are stored at its position as store_key_values does, before the row attends.
// Before that, in place: with `norms` each head of the queries and keys is normalised as rms_norm does, then with `rotation`
// it is rotated as rope does. All rows of a sequence are in one item then, so that no tile reads what another one stores.
struct PagedAttentionParams {
  // batch is 1, causal is 1, positions are given (-1: the row sees no key). kv_len, tile_heads and tile_queries are not
  // used, nor k_batch and v_batch.
  AttentionParams attention;
  KeyValuePages cache;
  Pointer<const int32_t> sequences;    // [q_len]: the slot of each row, or -1
  Pointer<const int32_t> starts;       // [lists + 1]: ascending, 0 .. q_len
  Pointer<const AttentionItem> items;  // [q_len]
  int64_t lists;
  HeadNorms norms;    // weights are null for none; else k and v are given
  Rotation rotation;  // inverse_frequencies are null for none; else k and v are given
  // If not null, receives `out` quantized to int8 as well (quantized_rows.h): [query][head][v_dim / 32]. v_dim is then
  // a multiple of 32.
  Pointer<ActivationBlock> blocks;
};

// An item as an attention of its own: its query 0 is the first row of the item. The positions are a copy: what was
// checked is what is used.
struct PagedItem {
  AttentionParams attention;
  AttentionTile tile;
  SequencePages pages;
  // The keys that it reads: first .. limit - 1, where `first` is the start of a key block.
  int64_t first;
  int64_t limit;
  // The first two panels of keys of the item after it, to be fetched meanwhile; null where there is none.
  const unsigned char* next_panels[2] = {};
  int32_t positions[kMostItemQueries];
};

// Sets next_panels from the item after `item`. That one is not checked yet: where it is wrong, no page is found.
static inline void look_ahead(const PagedAttentionParams& p, const AttentionItem& next, int64_t kv_head, PagedItem* item) {
  const AttentionParams& a = p.attention;
  if (next.first_query < 0 || next.first_query >= a.q_len) return;
  const int64_t first = attention_first(a, 0, next.first_query) / kAttentionKeyBlock * kAttentionKeyBlock;
  const int64_t limit = attention_limit(a, 0, next.first_query);
  for (int panel = 0; panel < 2; ++panel) {
    const int64_t key = first + panel * kKeyPanel;
    const unsigned char* page = key < limit ? find_page(p.cache, next.slot, key) : nullptr;
    item->next_panels[panel] = page == nullptr ? nullptr : key_panel_of(p.cache, page, kv_head, a.dim, key);
  }
}

// Reads an item for one key-value head. Returns false if it is not a valid one, or if a key that it reads has no page.
static inline bool read_item(const PagedAttentionParams& p, const AttentionItem& listed, int64_t kv_head,
                             PagedItem* item) {
  const int64_t first_query = listed.first_query;
  const int64_t queries = listed.queries;
  if (first_query < 0 || queries < 1 || queries > kMostItemQueries || first_query + queries > p.attention.q_len ||
      listed.slot < 0 || listed.slot >= p.cache.slots || listed.reserved != 0) {
    return false;
  }
  AttentionParams& a = item->attention;
  a = p.attention;
  const int64_t group = a.heads / a.kv_heads;
  item->tile = {0, kv_head, kv_head * group, group, 0, queries};
  a.q += first_query * a.q_row;
  a.out += first_query * a.out_row;
  a.q_len = queries;
  a.kv_len = p.cache.slot_pages * p.cache.page_positions;
  a.positions = item->positions;
  item->first = a.kv_len;
  item->limit = 0;
  for (int64_t query = 0; query < queries; ++query) {
    if (p.sequences[first_query + query] != listed.slot) return false;
    item->positions[query] = p.attention.positions[first_query + query];
    if (item->positions[query] >= a.kv_len) return false;
    item->first = std::min(item->first, attention_first(a, 0, query));
    item->limit = std::max(item->limit, attention_limit(a, 0, query));
  }
  item->first = item->first / kAttentionKeyBlock * kAttentionKeyBlock;
  item->pages = pages_of_slot(p.cache, listed.slot);
  return has_pages(p.cache, listed.slot, item->first, item->limit);
}

// Sets the outputs of padding rows to 0. Each list has a fixed share of the rows to look after.
template <typename Quantize>
static inline KernelStatus clear_padding(const PagedAttentionParams& p, int64_t list, int64_t kv_head,
                                         Quantize quantize) {
  const AttentionParams& a = p.attention;
  const int64_t group = a.heads / a.kv_heads;
  const int64_t end = (list + 1) * a.q_len / p.lists;
  for (int64_t query = list * a.q_len / p.lists; query < end; ++query) {
    const int64_t slot = p.sequences[query];
    if (slot < kPaddingRow || slot >= p.cache.slots) return KernelStatus::index_out_of_range;
    if (slot != kPaddingRow) continue;
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      float* out = a.out + query * a.out_row + head * a.out_head;
      std::fill(out, out + a.v_dim, 0.0f);
    }
    quantize_outputs(a, p.blocks, kv_head, query, 1, quantize);
  }
  return KernelStatus::ok;
}

// Whether queries and keys are normalised or rotated before they are used.
template <typename Params>
static inline bool changes_heads(const Params& p) {
  return p.norms.q_weight != nullptr || p.rotation.inverse_frequencies != nullptr;
}

// Normalises, rotates and stores the rows of an item: calls prepare(position, weight, x) for each head, where `weight` is
// that of its norm or null, and store(row, cache, page, in_page). Returns false if a row has no place.
template <typename Prepare, typename Store>
static inline bool store_item(const PagedAttentionParams& p, const PagedItem& item, int64_t first_query, int64_t slot,
                              Prepare prepare, Store store) {
  const AttentionParams& a = item.attention;
  const int64_t kv_head = item.tile.kv_head;
  for (int64_t query = 0; query < a.q_len; ++query) {
    const int64_t position = item.positions[query];
    unsigned char* page = find_page(p.cache, slot, position);
    if (page == nullptr) return false;
    const int64_t row = first_query + query;
    const float* k = static_cast<const float*>(a.k) + row * a.k_row + kv_head * a.k_head;
    const float* v = static_cast<const float*>(a.v) + row * a.v_row + kv_head * a.v_head;
    if (changes_heads(p)) {
      for (int64_t head = 0; head < item.tile.heads; ++head) {
        const float* q = a.q + query * a.q_row + (item.tile.first_head + head) * a.q_head;
        prepare(position, p.norms.q_weight, const_cast<float*>(q));
      }
      prepare(position, p.norms.k_weight, const_cast<float*>(k));
    }
    store(KeyValueRow{kv_head, k, v, a.dim, a.v_dim}, p.cache, page, position & (p.cache.page_positions - 1));
  }
  return true;
}

// Calls fetch(row, cache, page, in_page) for the place of an item's first row. The item is not checked yet: where it is wrong,
// no page is found.
template <typename Fetch>
static inline void fetch_place(const PagedAttentionParams& p, const AttentionItem& item, int64_t kv_head, Fetch fetch) {
  const AttentionParams& a = p.attention;
  if (item.first_query < 0 || item.first_query >= a.q_len) return;
  const int64_t position = a.positions[item.first_query];
  const unsigned char* page = find_page(p.cache, item.slot, position);
  if (page == nullptr) return;
  fetch(KeyValueRow{kv_head, nullptr, nullptr, a.dim, a.v_dim}, p.cache, page, position & (p.cache.page_positions - 1));
}

// Prepares and stores the rows of items begin .. end - 1, and has the place of the next item's rows fetched meanwhile.
template <typename Prepare, typename Store, typename Fetch>
static inline bool store_items(const PagedAttentionParams& p, int64_t begin, int64_t end, int64_t kv_head, Prepare prepare,
                               Store store, Fetch fetch) {
  PagedItem item;
  for (int64_t index = begin; index < end; ++index) {
    const AttentionItem listed = p.items[index];
    if (!read_item(p, listed, kv_head, &item)) return false;
    if (index + 1 < end) fetch_place(p, p.items[index + 1], kv_head, fetch);
    if (!store_item(p, item, listed.first_query, listed.slot, prepare, store)) return false;
  }
  return true;
}

// Computes a tile: stores the rows of its list if they must be, then calls attend(item) for each item. All rows are stored
// first: keys that are read at once after they were stored wait for their lines to come from memory.
template <typename Prepare, typename Store, typename Fetch, typename Attend, typename Quantize>
static inline KernelStatus attend_items(const PagedAttentionParams& p, int64_t tile, Prepare prepare, Store store,
                                        Fetch fetch, Attend attend, Quantize quantize) {
  const int64_t list = tile / p.attention.kv_heads;
  const int64_t kv_head = tile % p.attention.kv_heads;
  const KernelStatus status = clear_padding(p, list, kv_head, quantize);
  if (status != KernelStatus::ok) return status;
  const int64_t begin = p.starts[list];
  const int64_t end = p.starts[list + 1];
  if (begin < 0 || begin > end || end > p.attention.q_len) return KernelStatus::index_out_of_range;
  if (p.attention.k != nullptr && !store_items(p, begin, end, kv_head, prepare, store, fetch)) {
    return KernelStatus::index_out_of_range;
  }
  PagedItem item;
  for (int64_t index = begin; index < end; ++index) {
    const AttentionItem listed = p.items[index];
    if (!read_item(p, listed, kv_head, &item)) return KernelStatus::index_out_of_range;
    item.next_panels[0] = item.next_panels[1] = nullptr;
    if (index + 1 < end) look_ahead(p, p.items[index + 1], kv_head, &item);
    attend(item);
    quantize_outputs(p.attention, p.blocks, kv_head, listed.first_query, listed.queries, quantize);
  }
  return KernelStatus::ok;
}

KernelStatus paged_attention_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
