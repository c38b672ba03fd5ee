// sequence_attention: attention (kernels/attention.h) of rows of many sequences. The sequences follow each other
// without padding, and each row sees all rows of its own sequence. It gives the same bits as `attention` of each
// sequence alone. Recorded by src/ops/attention/sequence-attention.ts.
#pragma once

#include "kernels/attention.h"
#include "kernels/attention_blocks.h"

namespace tesserae {

// A piece of the work list: consecutive rows of one sequence, and all rows of the sequence, which are their keys. All
// heads of a key-value head are computed for it.
struct SequenceItem {
  int32_t first_query;
  int32_t queries;    // at least 1
  int32_t first_key;  // the first row of the sequence
  int32_t keys;       // its rows; 0: the queries are padding, and their outputs are 0
};

// tile_count = kv_heads · lists. Tile t computes the items starts[l] .. starts[l + 1] - 1 of list l = t / kv_heads, for
// key-value head t % kv_heads. As in paged_attention.h, the work list is data: src/forward/encoder/sequence-work.ts writes it
// before each run. The items cover each row once; the bits of a result do not depend on how they cut the rows.
struct SequenceAttentionParams {
  // batch is 1; q_len and kv_len are the number of rows; k and v are f32. No mask, positions, lengths or causal limit.
  // tile_heads and tile_queries are not used. Position of a row: its index in its sequence.
  AttentionParams attention;
  Pointer<const int32_t> starts;      // [lists + 1]: ascending, 0 .. q_len
  Pointer<const SequenceItem> items;  // [q_len]
  int64_t lists;
  Pointer<ActivationBlock> blocks;  // if not null, receives `out` quantized to int8 as well (attention_blocks.h)
};

// Whether the item's rows exist and belong to its sequence.
static inline bool is_valid(const SequenceItem& item, int64_t rows) {
  const int64_t end = int64_t{item.first_query} + item.queries;
  const int64_t keys_end = int64_t{item.first_key} + item.keys;
  if (item.first_query < 0 || item.queries < 1 || end > rows || item.keys < 0) return false;
  return item.keys == 0 || (item.first_key >= 0 && item.first_key <= item.first_query && end <= keys_end && keys_end <= rows);
}

// An item as an attention of its own: its query 0 is the first row of the item, its key 0 that of the sequence.
static inline AttentionParams attention_of(const AttentionParams& all, const SequenceItem& item) {
  AttentionParams a = all;
  a.q += item.first_query * a.q_row;
  a.out += item.first_query * a.out_row;
  a.kv_len = item.keys;
  if (item.keys == 0) return a;
  a.k = static_cast<const float*>(a.k) + item.first_key * a.k_row;
  a.v = static_cast<const float*>(a.v) + item.first_key * a.v_row;
  // So that the position of query 0 is its index in the sequence (attention_position).
  a.q_len = item.keys - (item.first_query - item.first_key);
  return a;
}

// Computes a tile: calls attend(attention, tile) for each item of its list.
template <typename Attend, typename Quantize>
static inline KernelStatus attend_sequences(const SequenceAttentionParams& p, int64_t tile, Attend attend,
                                            Quantize quantize) {
  const int64_t list = tile / p.attention.kv_heads;
  const int64_t kv_head = tile % p.attention.kv_heads;
  const int64_t group = p.attention.heads / p.attention.kv_heads;
  const int64_t begin = p.starts[list];
  const int64_t end = p.starts[list + 1];
  if (begin < 0 || begin > end || end > p.attention.q_len) return KernelStatus::index_out_of_range;
  for (int64_t index = begin; index < end; ++index) {
    // Copied before it is checked, so that nothing can change it between the check and its use.
    const SequenceItem item = p.items[index];
    if (!is_valid(item, p.attention.q_len)) return KernelStatus::index_out_of_range;
    attend(attention_of(p.attention, item), AttentionTile{0, kv_head, kv_head * group, group, 0, item.queries});
    quantize_outputs(p.attention, p.blocks, kv_head, item.first_query, item.queries, quantize);
  }
  return KernelStatus::ok;
}

KernelStatus sequence_attention_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
