// One row of the scalar reference of attention: the same key blocks as in the vector kernels, merged by the same
// formula. Included by attention.cpp and paged_attention.cpp, which pass functions that read keys and values.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/attention.h"

namespace tesserae {

struct AttentionRow {
  int64_t batch;
  int64_t head;
  int64_t query;
  const float* q;
  float* out;
};

// Applies the cap, the distance and the mask to a score, in units of log2 e.
static inline float adjusted_score(const AttentionParams& p, const AttentionRow& row, int64_t key, float score) {
  constexpr float log2e = 1.44269504088896340736f;
  if (p.softcap > 0) {
    const float cap = static_cast<float>(p.softcap * 1.44269504088896340736);
    score = cap * std::tanh(score * (1 / cap));
  }
  if (p.slopes) {
    const auto distance = static_cast<float>(std::abs(attention_position(p, row.batch, row.query) - key));
    score = std::fma(-p.slopes[row.head] * log2e, distance, score);
  }
  if (p.mask) {
    const float mask = p.mask[row.batch * p.mask_batch + row.head * p.mask_head + row.query * p.mask_row + key];
    if (mask == -INFINITY) return -INFINITY;
    score = std::fma(mask, log2e, score);
    if (score < -FLT_MAX) score = -FLT_MAX;  // only a mask of -inf excludes a key
  }
  return score;
}

// What a row makes of one key block.
struct BlockResult {
  float maximum;
  float sum;
};

// Computes the block at `begin`: the sums of weight · v into `out`. k(key, d) and v(key, d) return elements of the row's
// key-value head; `scores` has room for a block.
template <typename Keys, typename Values>
BlockResult attend_block_ref(const AttentionParams& p, const AttentionRow& row, Keys k, Values v, int64_t begin,
                             float* scores, float* out) {
  const float factor = static_cast<float>(p.scale * 1.44269504088896340736);
  const int64_t first = attention_first(p, row.batch, row.query);
  const int64_t keys = std::min(kAttentionKeyBlock, attention_limit(p, row.batch, row.query) - begin);
  float maximum = -INFINITY;
  for (int64_t j = 0; j < keys; ++j) {
    float score = 0;
    for (int64_t d = 0; d < p.dim; ++d) score = std::fma(row.q[d] * factor, k(begin + j, d), score);
    scores[j] = begin + j < first ? -INFINITY : adjusted_score(p, row, begin + j, score);
    if (scores[j] > maximum) maximum = scores[j];
  }
  const float base = maximum == -INFINITY ? 0.0f : maximum;
  float weights = 0;
  for (int64_t j = 0; j < keys; ++j) weights += scores[j] = std::exp2(scores[j] - base);
  for (int64_t d = 0; d < p.v_dim; ++d) {
    float sum = 0;
    for (int64_t j = 0; j < keys; ++j) sum = std::fma(scores[j], v(begin + j, d), sum);
    out[d] = sum;
  }
  return {maximum, weights};
}

// A row's key blocks, merged so far.
struct RowTotal {
  float* out;
  int64_t v_dim;
  float maximum = -INFINITY;
  float sum = 0;

  RowTotal(float* to, int64_t columns) : out(to), v_dim(columns) { std::fill(out, out + v_dim, 0.0f); }
  void merge(BlockResult block, const float* block_out) {
    const float next = std::max(maximum, block.maximum);
    const float base = next == -INFINITY ? 0.0f : next;
    const float keep = std::exp2(maximum - base);
    const float take = std::exp2(block.maximum - base);
    for (int64_t d = 0; d < v_dim; ++d) out[d] = std::fma(block_out[d], take, out[d] * keep);
    sum = std::fma(block.sum, take, sum * keep);
    maximum = next;
  }
  void write(float* to) const {
    const float inverse = 1 / sum;
    for (int64_t d = 0; d < v_dim; ++d) to[d] = sum == 0 ? 0.0f : out[d] * inverse;
  }
};

// Computes one row of the output; k and v as above.
template <typename Keys, typename Values>
void attend_row_ref(const AttentionParams& p, const AttentionRow& row, Keys k, Values v, Scratch& scratch) {
  float* scores = reinterpret_cast<float*>(scratch.data);
  float* block_out = scores + kAttentionKeyBlock;
  RowTotal total(block_out + p.v_dim, p.v_dim);
  const int64_t limit = attention_limit(p, row.batch, row.query);
  const int64_t first = attention_first(p, row.batch, row.query);
  for (int64_t begin = first / kAttentionKeyBlock * kAttentionKeyBlock; begin < limit; begin += kAttentionKeyBlock) {
    total.merge(attend_block_ref(p, row, k, v, begin, scores, block_out), block_out);
  }
  total.write(row.out);
}

// Calls attend(row) for each row of the tile.
template <typename Attend>
void for_each_row(const AttentionParams& p, const AttentionTile& t, Attend attend) {
  for (int64_t head = t.first_head; head < t.first_head + t.heads; ++head) {
    for (int64_t query = t.first_query; query < t.first_query + t.queries; ++query) {
      const float* q = p.q + t.batch * p.q_batch + head * p.q_head + query * p.q_row;
      float* out = p.out + t.batch * p.out_batch + head * p.out_head + query * p.out_row;
      attend(AttentionRow{t.batch, head, query, q, out});
    }
  }
}

}  // namespace tesserae
