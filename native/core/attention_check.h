// The checks of the parameters of attention, and what they share with those of other ops. Included by program_check.cpp only.
#pragma once

#include "core/operand_check.h"
#include "kernels/merge_attention_parts.h"
#include "kernels/paged_attention_parts.h"
#include "kernels/sequence_attention.h"
#include "kernels/store_key_values.h"

namespace tesserae {
namespace {

bool is_one_of(int64_t value, int64_t first, int64_t last) { return value >= first && value <= last; }

Extent vector(int64_t size, int64_t stride = 1) { return Extent().dim(size, stride); }

// The rows in 8 bits that an op writes beside its result.
void check_blocks(OperandCheck& check, Pointer<ActivationBlock> blocks, int64_t columns, int64_t rows) {
  if (blocks == nullptr) return;
  check.require(columns % kActivationBlock == 0, "has rows that are not whole blocks");
  check.writes(blocks, sizeof(ActivationBlock), vector(product({rows, columns / kActivationBlock})));
}

void check_rotation(const Rotation& r, int64_t dim, OperandCheck& check) {
  constexpr int64_t kMostRotated = 65536;
  check.require(is_one_of(r.style, 0, 1) && is_size(dim) && r.rotary_dim % 2 == 0 && r.rotary_dim <= dim &&
                    is_one_of(r.rotary_dim, 0, kMostRotated),
                "has an invalid width or style");
  check.reads(r.inverse_frequencies, 4, vector(r.rotary_dim / 2));
}

// What all kinds of attention have in common; but for the outputs.
void check_queries(const AttentionParams& p, OperandCheck& check) {
  check.require(p.batch >= 1 && p.kv_heads >= 1 && p.heads >= 1 && p.heads % p.kv_heads == 0 && p.q_len >= 1,
                "has an invalid number of heads or queries");
  check.require(is_one_of(p.dim, 1, kAttentionMaxDim) && is_one_of(p.v_dim, 1, kAttentionMaxDim),
                "has heads of an invalid width");
  check.require(is_one_of(p.causal, 0, 1) && is_size(p.window) && (p.positions == nullptr || p.causal == 1),
                "has an invalid mask");
  check.reads(p.q, 4, Extent().dim(p.batch, p.q_batch).dim(p.heads, p.q_head).dim(p.q_len, p.q_row).dim(p.dim, 1));
  check.may_read(p.positions, 4, Extent().dim(p.batch, p.positions_batch).dim(p.q_len, 1));
  check.may_read(p.slopes, 4, vector(p.heads));
}

void check_outputs(const AttentionParams& p, OperandCheck& check) {
  check.writes(p.out, 4,
               Extent().dim(p.batch, p.out_batch).dim(p.heads, p.out_head).dim(p.q_len, p.out_row).dim(p.v_dim, 1));
}

void check(const AttentionParams& p, OperandCheck& check) {
  check_queries(p, check);
  check_outputs(p, check);
  check.require(p.kv_dtype == DType::f32 || p.kv_dtype == DType::f16, "has keys of an unknown type");
  const int64_t group = p.kv_heads >= 1 ? p.heads / p.kv_heads : 0;
  check.require(is_one_of(p.tile_heads, 1, group) && is_size(p.tile_queries) && p.tile_queries >= 1,
                "has tiles of an invalid size");
  if (check.problem() != nullptr) return;
  const int64_t slices = (group + p.tile_heads - 1) / p.tile_heads;
  check.tiles(p.q_len, p.tile_queries, product({p.batch, p.kv_heads, slices}));
  const int64_t bytes = dtype_bytes(p.kv_dtype);
  check.reads(p.k, bytes,
              Extent().dim(p.batch, p.k_batch).dim(p.kv_heads, p.k_head).dim(p.kv_len, p.k_row).dim(p.dim, 1));
  check.reads(p.v, bytes,
              Extent().dim(p.batch, p.v_batch).dim(p.kv_heads, p.v_head).dim(p.kv_len, p.v_row).dim(p.v_dim, 1));
  check.may_read(
      p.mask, 4,
      Extent().dim(p.batch, p.mask_batch).dim(p.heads, p.mask_head).dim(p.q_len, p.mask_row).dim(p.kv_len, 1));
  check.may_read(p.kv_lengths, 4, vector(p.batch));
}

// The pages themselves are found, and checked, in each run (find_page).
void check_pages(const KeyValuePages& p, int64_t dim, int64_t v_dim, OperandCheck& check) {
  const int64_t positions = p.page_positions;
  check.require(is_one_of(positions, kKeyPanel, kAttentionKeyBlock) && (positions & (positions - 1)) == 0,
                "has pages of an invalid size");
  check.require(p.slots >= 1 && p.slot_pages >= 1 && is_size(p.keys_offset) && is_size(p.values_offset) &&
                    p.keys_offset % 64 == 0 && p.values_offset % 64 == 0,
                "has an invalid page table");
  check.require(is_one_of(static_cast<int64_t>(p.type), 0, static_cast<int64_t>(KeyValueType::q8_0)),
                "has keys and values of an unknown type");
  check.require(p.type != KeyValueType::q8_0 || (dim % kQuantizedBlock == 0 && v_dim % kQuantizedBlock == 0),
                "has heads that are not whole blocks");
  check.reads(p.directory, 8, vector(p.directory_count));
  check.reads(p.table, 4, vector(product({p.slots, p.slot_pages})));
}

void check(const StoreKeyValuesParams& p, OperandCheck& check) {
  check.require(p.rows >= 1 && p.kv_heads >= 1 && p.dim >= 1 && p.v_dim >= 1, "has invalid sizes");
  check.tiles(p.rows, p.tile_rows);
  check_pages(p.cache, p.dim, p.v_dim, check);
  check.reads(p.k, 4, Extent().dim(p.rows, p.k_row).dim(p.kv_heads, p.k_head).dim(p.dim, 1));
  check.reads(p.v, 4, Extent().dim(p.rows, p.v_row).dim(p.kv_heads, p.v_head).dim(p.v_dim, 1));
  check.reads(p.positions, 4, vector(p.rows));
  check.reads(p.sequences, 4, vector(p.rows));
}

// Keys and values that are stored in the step that attends to them.
void check_own(const AttentionParams& a, OperandCheck& check) {
  check.require((a.k == nullptr) == (a.v == nullptr), "has keys without values");
  check.may_read(a.k, 4, Extent().dim(a.kv_heads, a.k_head).dim(a.q_len, a.k_row).dim(a.dim, 1));
  check.may_read(a.v, 4, Extent().dim(a.kv_heads, a.v_head).dim(a.q_len, a.v_row).dim(a.v_dim, 1));
}

// What attention to cached keys has in common, in parts or not.
template <typename Params>
void check_paged(const Params& p, OperandCheck& check) {
  const AttentionParams& a = p.attention;
  check.require(a.batch == 1 && a.causal == 1 && a.positions != nullptr && is_size(p.lists) && p.lists >= 1,
                "has no positions or lists");
  check_queries(a, check);
  check_pages(p.cache, a.dim, a.v_dim, check);
  check.tiles(p.lists, 1, a.kv_heads);
  check.reads(p.sequences, 4, vector(a.q_len));
  check.reads(p.starts, 4, vector(p.lists + 1));
  check_own(a, check);
  check.require((p.norms.q_weight == nullptr) == (p.norms.k_weight == nullptr), "has norms of queries or keys alone");
  check.may_read(p.norms.q_weight, 4, vector(a.dim));
  check.may_read(p.norms.k_weight, 4, vector(a.dim));
  check.require(!changes_heads(p) || a.k != nullptr, "normalises or rotates no keys");
  if (p.rotation.inverse_frequencies != nullptr) check_rotation(p.rotation, a.dim, check);
}

void check(const PagedAttentionParams& p, OperandCheck& check) {
  const AttentionParams& a = p.attention;
  check_paged(p, check);
  check_outputs(a, check);
  check.reads(p.items, sizeof(AttentionItem), vector(a.q_len));
  if (changes_heads(p)) {
    check.writes(a.q, 4, Extent().dim(a.heads, a.q_head).dim(a.q_len, a.q_row).dim(a.dim, 1));
    check.writes(a.k, 4, Extent().dim(a.kv_heads, a.k_head).dim(a.q_len, a.k_row).dim(a.dim, 1));
  }
  check_blocks(check, p.blocks, a.v_dim, product({a.q_len, a.heads}));
}

// The lines of parts: [most, heads, part_line(v_dim)].
int64_t size_of_parts(const AttentionParts& parts, int64_t heads, int64_t v_dim, OperandCheck& check) {
  check.require(is_one_of(v_dim, 1, kAttentionMaxDim) && heads >= 1 && parts.most >= 0, "has parts of an invalid size");
  return check.problem() == nullptr ? product({parts.most, heads, part_line(v_dim)}) : 0;
}

void check(const PagedAttentionPartsParams& p, OperandCheck& check) {
  const AttentionParams& a = p.attention;
  check_paged(p, check);
  check.reads(p.runs, sizeof(AttentionRun), vector(a.q_len + p.lists));
  check.writes(p.parts.lines, 4, vector(size_of_parts(p.parts, a.heads, a.v_dim, check)));
  check.reads(p.parts.starts, 4, vector(a.q_len + 1));
}

void check(const MergeAttentionPartsParams& p, OperandCheck& check) {
  check.require(is_size(p.rows) && p.rows >= 1 && is_size(p.heads) && is_one_of(p.tile_heads, 1, kMostMergedHeads),
                "has invalid sizes");
  check.reads(p.parts.lines, 4, vector(size_of_parts(p.parts, p.heads, p.v_dim, check)));
  if (check.problem() != nullptr) return;
  check.tiles(product({p.rows, (p.heads + p.tile_heads - 1) / p.tile_heads}), p.tile_groups);
  check.reads(p.parts.starts, 4, vector(p.rows + 1));
  check.writes(p.out, 4, Extent().dim(p.rows, p.out_row).dim(p.heads, p.out_head).dim(p.v_dim, 1));
  check_blocks(check, p.blocks, p.v_dim, product({p.rows, p.heads}));
}

void check(const SequenceAttentionParams& p, OperandCheck& check) {
  const AttentionParams& a = p.attention;
  check.require(a.batch == 1 && a.causal == 0 && a.positions == nullptr && a.mask == nullptr &&
                    a.kv_lengths == nullptr && a.kv_dtype == DType::f32 && a.kv_len == a.q_len && p.lists >= 1,
                "has other options than those of its kind");
  check_queries(a, check);
  check_outputs(a, check);
  check.tiles(p.lists, 1, a.kv_heads);
  check.reads(a.k, 4, Extent().dim(a.kv_heads, a.k_head).dim(a.kv_len, a.k_row).dim(a.dim, 1));
  check.reads(a.v, 4, Extent().dim(a.kv_heads, a.v_head).dim(a.kv_len, a.v_row).dim(a.v_dim, 1));
  check.reads(p.starts, 4, vector(p.lists + 1));
  check.reads(p.items, sizeof(SequenceItem), vector(a.q_len));
  check_blocks(check, p.blocks, a.v_dim, product({a.q_len, a.heads}));
}

}  // namespace
}  // namespace tesserae
