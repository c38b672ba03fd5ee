// paged_attention_parts: the first half of paged_attention (paged_attention.h) where rows see many keys: computes partial
// results, a run of key blocks at a time, so that the keys of one row and head can be cut into tiles. merge_attention_parts
// computes the outputs from them; both together give the bits of paged_attention. Recorded by
// src/ops/paged/paged-attention.ts.
#pragma once

#include "kernels/attention_parts.h"
#include "kernels/paged_attention.h"

namespace tesserae {

// A piece of the work list: consecutive key blocks of one row. All heads of a key-value head are computed for it.
struct AttentionRun {
  int32_t query;        // the row
  int32_t slot;         // of its sequence
  int32_t first_block;  // keys from first_block · kAttentionKeyBlock on
  int32_t blocks;       // at least 1
};

// tile_count = kv_heads · lists. Tile t computes the runs starts[l] .. starts[l + 1] - 1 of list l = t / kv_heads, for
// key-value head t % kv_heads. As in paged_attention.h, the work list is data: src/forward/attention-runs.ts writes it before each
// run. The runs cover each key block that a row sees once; the bits do not depend on how they are cut.
//
// If attention.k is not null, the run with the last block of a row stores the row's keys and values, as paged_attention
// does. With `norms` and `rotation`, copies of queries and keys are normalised and rotated first: several tiles read the
// queries of a row, and none writes them, so that tiles may run in any order, and twice.
struct PagedAttentionPartsParams {
  AttentionParams attention;  // as in PagedAttentionParams; `out` is not used
  KeyValuePages cache;
  Pointer<const int32_t> sequences;   // [q_len]: the slot of each row, or -1
  Pointer<const int32_t> starts;      // [lists + 1]: ascending, 0 .. q_len + lists
  Pointer<const AttentionRun> runs;   // [q_len + lists]
  int64_t lists;
  HeadNorms norms;    // weights are null for none; else k and v are given
  Rotation rotation;  // inverse_frequencies are null for none; else k and v are given
  AttentionParts parts;
};

// Reads a run for one key-value head as an item of one query, whose keys first .. limit - 1 are those of the run; `part` is
// the number of its first part. Returns false if it is not a valid one, or if a key that it reads has no page.
static inline bool read_run(const PagedAttentionPartsParams& p, const AttentionRun& listed, int64_t kv_head,
                            PagedItem* item, int64_t* part) {
  AttentionParams& a = item->attention;
  a = p.attention;
  const int64_t query = listed.query;
  if (query < 0 || query >= a.q_len || listed.slot < 0 || listed.slot >= p.cache.slots) return false;
  if (p.sequences[query] != listed.slot || listed.first_block < 0 || listed.blocks < 1) return false;
  const int64_t group = a.heads / a.kv_heads;
  item->tile = {0, kv_head, kv_head * group, group, 0, 1};
  a.q += query * a.q_row;
  a.q_len = 1;
  a.kv_len = p.cache.slot_pages * p.cache.page_positions;
  a.positions = item->positions;
  item->positions[0] = p.attention.positions[query];
  if (item->positions[0] >= a.kv_len) return false;
  const int64_t first_block = attention_first(a, 0, 0) / kAttentionKeyBlock;
  const int64_t limit = attention_limit(a, 0, 0);
  const int64_t last_block = (limit + kAttentionKeyBlock - 1) / kAttentionKeyBlock;
  const int64_t end_block = int64_t{listed.first_block} + listed.blocks;
  if (listed.first_block < first_block || end_block > last_block) return false;
  PartRange range;
  if (!read_parts(p.parts, query, &range) || range.count != last_block - first_block) return false;
  *part = range.first + listed.first_block - first_block;
  item->first = listed.first_block * kAttentionKeyBlock;
  item->limit = std::min(limit, end_block * kAttentionKeyBlock);
  item->pages = pages_of_slot(p.cache, listed.slot);
  return has_pages(p.cache, listed.slot, item->first, item->limit);
}

// Computes a tile: for each run of its list, if it has the row's last block, calls prepare(position, weight, x, y) for the
// row's key, where `weight` is that of its norm or null, and store(row, cache, page, in_page); then attend(item, part).
template <typename Prepare, typename Store, typename Attend>
static inline KernelStatus attend_runs(const PagedAttentionPartsParams& p, int64_t tile, Prepare prepare, Store store,
                                       Attend attend) {
  const int64_t list = tile / p.attention.kv_heads;
  const int64_t kv_head = tile % p.attention.kv_heads;
  const int64_t begin = p.starts[list];
  const int64_t end = p.starts[list + 1];
  if (begin < 0 || begin > end || end > p.attention.q_len + p.lists) return KernelStatus::index_out_of_range;
  PagedItem item;
  for (int64_t index = begin; index < end; ++index) {
    // Copied before it is checked, so that nothing can change it between the check and its use.
    const AttentionRun run = p.runs[index];
    int64_t part = 0;
    if (!read_run(p, run, kv_head, &item, &part)) return KernelStatus::index_out_of_range;
    const AttentionParams& a = item.attention;
    const int64_t position = item.positions[0];
    if (a.k != nullptr && item.limit == position + 1) {
      unsigned char* page = find_page(p.cache, run.slot, position);
      const float* k = static_cast<const float*>(a.k) + run.query * a.k_row + kv_head * a.k_head;
      const float* v = static_cast<const float*>(a.v) + run.query * a.v_row + kv_head * a.v_head;
      alignas(64) float changed[kAttentionMaxDim];
      if (changes_heads(p)) {
        prepare(position, p.norms.k_weight, k, changed);
        k = changed;
      }
      store(KeyValueRow{kv_head, k, v, a.dim, a.v_dim}, p.cache, page, position & (p.cache.page_positions - 1));
    }
    attend(item, part);
  }
  return KernelStatus::ok;
}

KernelStatus paged_attention_parts_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
