// attention: scaled dot-product attention with an online softmax; scores are kept only for a few rows of one key block.
// Supports grouped-query heads, causal and cached use, padded batches and an additive mask. Recorded by
// src/ops/attention/attention.ts. The comment at AttentionParams defines the bits of a result.
#pragma once

#include <algorithm>

#include "core/op.h"

namespace tesserae {

// Keys are cut into blocks at absolute multiples of this number. The bits of a result depend on it, so it is the same
// for every path. 256 keys of heads of 64 (K and V packed: 128 KiB) fill a quarter of an L2 cache of 512 KiB.
constexpr int64_t kAttentionKeyBlock = 256;

// Largest dim and v_dim: a packed key block of both, and the rows, must fit into scratch.
constexpr int64_t kAttentionMaxDim = 512;

// out[b,h,i,:] = sum_j softmax_j(scale * q[b,h,i,:]·k[b,g,j,:] + mask[b,h,i,j]) v[b,g,j,:],  g = h / (heads/kv_heads)
//
// Position of query i, among the keys: P = positions[b,i] if given, else kv_len - q_len + i.
//
// Visible keys. Query i sees the keys 0 .. limit-1; limit is the smallest of kv_len; kv_lengths[b] if given; P + 1 if
// causal; P + n with a window of n. Keys and values from limit on are not read (they may be NaN or uninitialised). A
// mask of -inf gives a key the weight 0 for any content of the key; its value must be finite, since 0 · inf is NaN. A
// row that sees no key, or only keys with a score of -inf, is 0.
//
// Adjustments of the score with key j, in this order:
//   softcap c: scaled score = c · tanh(scaled score / c) (Gemma Team 2024)
//   slopes: minus slopes[h] · |P - j| (Press et al. 2022)
//   the mask
//   window n: only keys with |P - j| < n count (Beltagy et al. 2020). Key blocks outside of the window are not read; in
//   a block, keys before the window get the weight 0 (their values must be finite, as with the mask).
//
// The bits of a row:
//   score: the sequential FMA chain over dim of q' · k, with q' = q · f32(scale · log2 e). Then, in units of log2 e:
//   the cap; fma(-slope · log2 e, distance, score); fma(mask, log2 e, score).
//   In each key block: the maximum; the weights 2^(score - maximum); their sum by lanes (lane = key mod 16, in key
//   order, then a fixed tree); the FMA chain over keys of weight · v. Each block is normalised by its own maximum.
//   Blocks are merged in ascending order by the rescaling formula of Milakov and Gimelshein (2018). At the end the row
//   is multiplied by 1 / (sum of weights).
// None of this depends on tiles, on other rows, or on the capacity of k and v.
struct AttentionParams {
  Pointer<const float> q;             // [batch, heads, q_len, dim]
  Pointer<const void> k;              // [batch, kv_heads, kv_len, dim]
  Pointer<const void> v;              // [batch, kv_heads, kv_len, v_dim]
  Pointer<float> out;                 // [batch, heads, q_len, v_dim]
  Pointer<const float> mask;          // [batch, heads, q_len, kv_len] by strides, added to the scaled scores; or null
  Pointer<const int32_t> positions;   // [batch, q_len]: the last key that the query sees (-1: none); needs causal; or null
  Pointer<const int32_t> kv_lengths;  // [batch]: number of valid keys; or null
  double scale;               // times log2 e and rounded to f32 before use
  DType kv_dtype;             // of k and v: f32 or f16
  int64_t causal;             // 0 or 1
  int64_t batch;
  int64_t heads;  // a multiple of kv_heads
  int64_t kv_heads;
  int64_t q_len;
  int64_t kv_len;
  int64_t dim;           // 1 .. kAttentionMaxDim
  int64_t v_dim;         // 1 .. kAttentionMaxDim
  int64_t tile_heads;    // heads of one kv group in a tile, 1 .. heads/kv_heads
  int64_t tile_queries;  // queries in a tile
  int64_t q_batch, q_head, q_row;  // strides, in elements; dim has unit stride
  int64_t k_batch, k_head, k_row;
  int64_t v_batch, v_head, v_row;
  int64_t out_batch, out_head, out_row;
  int64_t mask_batch, mask_head, mask_row;  // 0 broadcasts; keys have unit stride
  int64_t positions_batch;                  // 0: all batches share one list; queries have unit stride
  Pointer<const float> slopes;                      // [heads], or null
  double softcap;                           // 0: none
  int64_t window;                           // 0: none
};

// The part that a tile computes: some queries of some heads of one kv group.
struct AttentionTile {
  int64_t batch;
  int64_t kv_head;
  int64_t first_head;
  int64_t heads;
  int64_t first_query;
  int64_t queries;
};

// tile_count = batch · kv_heads · ceil(heads/kv_heads / tile_heads) · ceil(q_len / tile_queries). Query blocks change
// fastest, the last block first: under a causal limit it takes longest. src/ops/attention/attention.ts
// (attentionTiles) chooses the sizes, on which results do not depend: tile_heads as many heads of the group as make at
// most 128 rows with all queries, so that they share a packed key block; tile_queries at most 256, fewer (down to 48)
// for four tiles a thread.
static inline AttentionTile attention_tile(const AttentionParams& p, int64_t tile) {
  const int64_t group = p.heads / p.kv_heads;
  const int64_t head_slices = (group + p.tile_heads - 1) / p.tile_heads;
  const int64_t query_blocks = (p.q_len + p.tile_queries - 1) / p.tile_queries;
  AttentionTile t;
  t.first_query = (query_blocks - 1 - tile % query_blocks) * p.tile_queries;
  tile /= query_blocks;
  const int64_t slice = tile % head_slices;
  tile /= head_slices;
  t.kv_head = tile % p.kv_heads;
  t.batch = tile / p.kv_heads;
  t.first_head = t.kv_head * group + slice * p.tile_heads;
  t.heads = std::min(p.tile_heads, group - slice * p.tile_heads);
  t.queries = std::min(p.tile_queries, p.q_len - t.first_query);
  return t;
}

// The position of query `query` of batch `batch` among the keys.
static inline int64_t attention_position(const AttentionParams& p, int64_t batch, int64_t query) {
  return p.positions ? static_cast<int64_t>(p.positions[batch * p.positions_batch + query])
                     : p.kv_len - p.q_len + query;
}

// One past the last key that the query sees: 0 .. kv_len.
static inline int64_t attention_limit(const AttentionParams& p, int64_t batch, int64_t query) {
  int64_t limit = p.kv_len;
  if (p.kv_lengths) limit = std::min(limit, static_cast<int64_t>(p.kv_lengths[batch]));
  if (p.causal) limit = std::min(limit, attention_position(p, batch, query) + 1);
  if (p.window) limit = std::min(limit, attention_position(p, batch, query) + p.window);
  return std::max<int64_t>(limit, 0);
}

// The first key that the query sees.
static inline int64_t attention_first(const AttentionParams& p, int64_t batch, int64_t query) {
  return p.window ? std::max<int64_t>(attention_position(p, batch, query) - p.window + 1, 0) : 0;
}

KernelStatus attention_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
