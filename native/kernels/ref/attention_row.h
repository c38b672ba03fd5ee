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

// Computes one row of the output. k(key, d) and v(key, d) return elements of the row's key-value head.
template <typename Keys, typename Values>
void attend_row_ref(const AttentionParams& p, const AttentionRow& row, Keys k, Values v, Scratch& scratch) {
  const float factor = static_cast<float>(p.scale * 1.44269504088896340736);
  float* scores = reinterpret_cast<float*>(scratch.data);
  float* block_out = scores + kAttentionKeyBlock;
  float* total_out = block_out + p.v_dim;
  std::fill(total_out, total_out + p.v_dim, 0.0f);
  float total_max = -INFINITY;
  float total_sum = 0;
  const int64_t limit = attention_limit(p, row.batch, row.query);
  const int64_t first = attention_first(p, row.batch, row.query);
  for (int64_t begin = first / kAttentionKeyBlock * kAttentionKeyBlock; begin < limit; begin += kAttentionKeyBlock) {
    const int64_t keys = std::min(kAttentionKeyBlock, limit - begin);
    float block_max = -INFINITY;
    for (int64_t j = 0; j < keys; ++j) {
      float score = 0;
      for (int64_t d = 0; d < p.dim; ++d) score = std::fma(row.q[d] * factor, k(begin + j, d), score);
      scores[j] = begin + j < first ? -INFINITY : adjusted_score(p, row, begin + j, score);
      if (scores[j] > block_max) block_max = scores[j];
    }
    const float base = block_max == -INFINITY ? 0.0f : block_max;
    float block_sum = 0;
    for (int64_t j = 0; j < keys; ++j) block_sum += scores[j] = std::exp2(scores[j] - base);
    for (int64_t d = 0; d < p.v_dim; ++d) {
      float sum = 0;
      for (int64_t j = 0; j < keys; ++j) sum = std::fma(scores[j], v(begin + j, d), sum);
      block_out[d] = sum;
    }
    const float next_max = std::max(total_max, block_max);
    const float next_base = next_max == -INFINITY ? 0.0f : next_max;
    const float keep = std::exp2(total_max - next_base);
    const float take = std::exp2(block_max - next_base);
    for (int64_t d = 0; d < p.v_dim; ++d) total_out[d] = std::fma(block_out[d], take, total_out[d] * keep);
    total_sum = std::fma(block_sum, take, total_sum * keep);
    total_max = next_max;
  }
  const float inverse = 1 / total_sum;
  for (int64_t d = 0; d < p.v_dim; ++d) row.out[d] = total_sum == 0 ? 0.0f : total_out[d] * inverse;
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
