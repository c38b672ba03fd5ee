// How a tile of attention goes: its rows pass through the key blocks, a strip at a time, or few at once; scores, weights
// and outputs of a strip stay in the first-level cache. Where keys and values come from is the caller's: attention_whole.h
// has them in one piece, attention_pages.h in pages. What an instruction set brings is its micro-kernels.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "kernels/attention.h"
#include "kernels/avx2/attention_few.h"
#include "kernels/avx2/attention_pack.h"
#include "kernels/avx2/attention_softmax.h"
#include "kernels/avx2/math.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

// Rows whose scores of a key block are held at a time: 12 KiB, beside a V panel of 16 KiB in the first-level cache.
constexpr int64_t kStripRows = 12;
constexpr int64_t kMaxStripRows = 16;  // rounded up to whole vectors
static_assert(kStripRows <= kMaxStripRows);
static_assert(kAttentionKeyBlock % kPanel == 0, "a key block is whole panels");

constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// The state of rows is read by whole vectors from any strip's start on.
constexpr int64_t padded_rows(int64_t rows) { return round_up(rows, kStripRows) + kMaxStripRows; }

// Some rows of a tile, and where in the scratch their state lies. Rows are the heads of a query, query by query.
struct RowSet {
  const AttentionParams& p;
  const AttentionTile& tile;
  int64_t first;  // row of the tile
  int64_t count;
  int64_t v_columns;  // v_dim rounded up to whole panels
  float* q;           // [count][dim], times scale · log2 e
  float* total;       // [count][v_columns]
  float* total_max;   // [padded_rows(count)]
  float* total_sum;   // likewise
  int32_t* limits;    // likewise
  int32_t* firsts;    // likewise
  float* k;           // packed key block
  float* v;           // packed key block
  float* scores;      // [kMaxStripRows][kAttentionKeyBlock]

  int64_t query(int64_t row) const { return tile.first_query + (first + row) / tile.heads; }
  int64_t head(int64_t row) const { return tile.first_head + (first + row) % tile.heads; }
  const float* mask(int64_t row) const {
    return p.mask + tile.batch * p.mask_batch + head(row) * p.mask_head + query(row) * p.mask_row;
  }
};

// The keys that any of the rows sees.
struct KeyRange {
  int64_t first;
  int64_t limit;
};

// Loads the rows' queries and sets their state to nothing seen.
inline KeyRange begin_rows(const RowSet& rows) {
  const AttentionParams& p = rows.p;
  const __m256 factor = _mm256_set1_ps(static_cast<float>(p.scale * 1.44269504088896340736));
  KeyRange range = {p.kv_len, 0};
  for (int64_t row = 0; row < rows.count; ++row) {
    const float* q = p.q + rows.tile.batch * p.q_batch + rows.head(row) * p.q_head + rows.query(row) * p.q_row;
    float* target = rows.q + row * p.dim;
    int64_t d = 0;
    for (; d + 8 <= p.dim; d += 8) _mm256_storeu_ps(target + d, _mm256_mul_ps(_mm256_loadu_ps(q + d), factor));
    for (; d < p.dim; ++d) target[d] = q[d] * _mm256_cvtss_f32(factor);
    const int64_t limit = attention_limit(p, rows.tile.batch, rows.query(row));
    const int64_t key = attention_first(p, rows.tile.batch, rows.query(row));
    rows.limits[row] = static_cast<int32_t>(limit);
    rows.firsts[row] = static_cast<int32_t>(key);
    range.first = std::min(range.first, key);
    range.limit = std::max(range.limit, limit);
  }
  const int64_t padded = padded_rows(rows.count);
  std::fill(rows.limits + rows.count, rows.limits + padded, 0);
  std::fill(rows.total_max, rows.total_max + padded, -INFINITY);
  std::fill(rows.total_sum, rows.total_sum + padded, 0.0f);
  std::fill(rows.total, rows.total + rows.count * rows.v_columns, 0.0f);
  return range;
}

inline void finish_rows(const RowSet& rows) {
  const AttentionParams& p = rows.p;
  for (int64_t row = 0; row < rows.count; ++row) {
    float* out = p.out + rows.tile.batch * p.out_batch + rows.head(row) * p.out_head + rows.query(row) * p.out_row;
    const float* total = rows.total + row * rows.v_columns;
    const float sum = rows.total_sum[row];
    if (sum == 0) {
      std::fill(out, out + p.v_dim, 0.0f);
      continue;
    }
    const __m256 sums = _mm256_set1_ps(sum);
    int64_t d = 0;
    for (; d + 8 <= p.v_dim; d += 8) _mm256_storeu_ps(out + d, _mm256_div_ps(_mm256_loadu_ps(total + d), sums));
    for (; d < p.v_dim; ++d) out[d] = total[d] / sum;
  }
}

// How many keys of the block at `begin` each row of a strip takes: up to its limit, but none where its window begins
// behind that. Returns the most.
inline int64_t keys_seen(const RowSet& rows, int64_t strip, int64_t strip_rows, int64_t begin, int32_t* keys) {
  int64_t most = 0;
  for (int64_t r = 0; r < kMaxStripRows; ++r) {
    const bool sees = r < strip_rows && rows.firsts[strip + r] < std::min(int64_t{rows.limits[strip + r]},
                                                                          begin + kAttentionKeyBlock);
    const int64_t limit = sees ? rows.limits[strip + r] : 0;
    keys[r] = static_cast<int32_t>(std::min(std::max<int64_t>(limit - begin, 0), kAttentionKeyBlock));
    most = std::max<int64_t>(most, keys[r]);
  }
  return most;
}

struct StripFactors {
  alignas(32) float block_max[kMaxStripRows];
  alignas(32) float block_sum[kMaxStripRows];
  alignas(32) float keep[kMaxStripRows];
  alignas(32) float take[kMaxStripRows];
};

// The cap, the distance and the window of attention.h, on `keys` scores of the block at `begin`, in place.
inline void adjust_scores(const RowSet& rows, int64_t row, int64_t begin, int64_t keys, float* scores) {
  const AttentionParams& p = rows.p;
  if (p.softcap > 0) {
    const float cap = static_cast<float>(p.softcap * 1.44269504088896340736);
    const __m256 caps = _mm256_set1_ps(cap);
    const __m256 inverse = _mm256_set1_ps(1 / cap);
    for (int64_t j = 0; j < keys; j += 8) {
      const __m256 score = _mm256_load_ps(scores + j);
      _mm256_store_ps(scores + j, _mm256_mul_ps(caps, tanh8(_mm256_mul_ps(score, inverse))));
    }
  }
  if (p.slopes) {
    const __m256 slope = _mm256_set1_ps(-p.slopes[rows.head(row)] * kLog2e);
    const auto position = static_cast<int32_t>(attention_position(p, rows.tile.batch, rows.query(row)) - begin);
    __m256i distance = _mm256_sub_epi32(_mm256_set1_epi32(position), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    for (int64_t j = 0; j < keys; j += 8) {
      const __m256 steps = _mm256_cvtepi32_ps(_mm256_abs_epi32(distance));
      _mm256_store_ps(scores + j, _mm256_fmadd_ps(slope, steps, _mm256_load_ps(scores + j)));
      distance = _mm256_sub_epi32(distance, _mm256_set1_epi32(8));
    }
  }
  const int64_t before = rows.firsts[row] - begin;
  if (before > 0) std::fill(scores, scores + before, -INFINITY);
}

// The weights of a strip, in place of its scores, and the merge of their maxima and sums.
template <typename Micro>
inline void strip_softmax(const RowSet& rows, int64_t strip, int64_t strip_rows, int64_t begin, const int32_t* keys,
                   StripFactors* factors) {
  const bool adjusted = rows.p.softcap > 0 || rows.p.slopes || rows.p.window;
  for (int64_t r = 0; r < strip_rows; ++r) {
    factors->block_max[r] = -INFINITY;
    factors->block_sum[r] = 0;
    if (keys[r] == 0) continue;
    float* scores = rows.scores + r * kAttentionKeyBlock;
    if (adjusted) adjust_scores(rows, strip + r, begin, keys[r], scores);
    if (rows.p.mask) {
      const float* mask = rows.mask(strip + r) + begin;
      Micro::template softmax_row<true>(scores, keys[r], mask, factors->block_max + r, factors->block_sum + r);
    } else {
      Micro::template softmax_row<false>(scores, keys[r], nullptr, factors->block_max + r, factors->block_sum + r);
    }
  }
  for (int64_t r = strip_rows; r < kMaxStripRows; ++r) factors->block_max[r] = factors->block_sum[r] = 0;
  for (int64_t r = 0; r < strip_rows; r += 8) {
    merge_rows(factors->block_max + r, factors->block_sum + r, keys + r, rows.total_max + strip + r,
               rows.total_sum + strip + r, factors->keep + r, factors->take + r);
  }
}

// Panel i holds the keys 16 i .. 16 i + 15 of the block.
using KeyPanels = const float* [kAttentionKeyBlock / kPanel];

// Micro describes the micro-kernels of an instruction set:
//   kRows, kPanels   a micro-tile: rows, and panels of keys or columns
//   scores(rows, panels, dim, q, k_panels, scores)
//   outputs(rows, panels, keys, weights, v, keep, take, total, total_stride)   v: panels kAttentionKeyBlock rows apart
//   softmax_row<masked>(scores, keys, mask, block_max, block_sum)
template <typename Micro>
inline void attend_strip(const RowSet& rows, const KeyPanels& panels, int64_t strip, int64_t begin) {
  static_assert(kStripRows % Micro::kRows == 0, "a strip is whole micro-tiles");
  const AttentionParams& p = rows.p;
  const int64_t strip_rows = std::min(kStripRows, rows.count - strip);
  alignas(32) int32_t keys[kMaxStripRows];
  const int64_t most = keys_seen(rows, strip, strip_rows, begin, keys);
  if (most == 0) return;
  const int64_t key_panels = (most + kPanel - 1) / kPanel;
  for (int64_t panel = 0; panel < key_panels; panel += Micro::kPanels) {
    for (int64_t r = 0; r < strip_rows; r += Micro::kRows) {
      Micro::scores(std::min<int64_t>(Micro::kRows, strip_rows - r), std::min<int64_t>(Micro::kPanels, key_panels - panel),
                    p.dim, rows.q + (strip + r) * p.dim, panels + panel,
                    rows.scores + r * kAttentionKeyBlock + panel * kPanel);
    }
  }
  StripFactors factors;
  strip_softmax<Micro>(rows, strip, strip_rows, begin, keys, &factors);
  const int64_t column_panels = rows.v_columns / kPanel;
  for (int64_t panel = 0; panel < column_panels; panel += Micro::kPanels) {
    for (int64_t r = 0; r < strip_rows; r += Micro::kRows) {
      Micro::outputs(std::min<int64_t>(Micro::kRows, strip_rows - r),
                     std::min<int64_t>(Micro::kPanels, column_panels - panel), keys + r,
                     rows.scores + r * kAttentionKeyBlock, rows.v + panel * kPanel * kAttentionKeyBlock,
                     factors.keep + r, factors.take + r, rows.total + (strip + r) * rows.v_columns + panel * kPanel,
                     rows.v_columns);
    }
  }
}

// Hands out 64-byte aligned pieces of the scratch.
struct Carver {
  unsigned char* next;
  template <typename T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(next);
    next += round_up(count * static_cast<int64_t>(sizeof(T)), kCacheLineBytes);
    return piece;
  }
};

// The rows of a tile that fit into the scratch beside a packed key block; at least a strip.
inline int64_t row_capacity(const AttentionParams& p, const Scratch& scratch) {
  const int64_t v_columns = round_up(p.v_dim, kPanel);
  const int64_t block_bytes = 4 * kAttentionKeyBlock * (p.dim + v_columns + kMaxStripRows) + 24 * kCacheLineBytes;
  const int64_t row_bytes = 4 * (p.dim + v_columns + 4);
  return (static_cast<int64_t>(scratch.size_bytes) - block_bytes) / row_bytes / kStripRows * kStripRows;
}
static_assert(int64_t{kScratchBytes} >
                  4 * (kAttentionKeyBlock + 2 * kMaxStripRows) * (2 * kAttentionMaxDim + kMaxStripRows),
              "a strip of the widest heads fits into the scratch");

// `count` rows, at most kFewRows, and the key block at `begin`; after it come next_keys more, if positive. Nothing is
// packed.
template <typename Micro, int count, typename Source>
void attend_few(const RowSet& rows, const Source& source, int64_t begin, int64_t next_keys) {
  alignas(32) int32_t keys[kMaxStripRows];
  const int64_t most = keys_seen(rows, 0, count, begin, keys);
  source.prefetch_values(begin, std::min(most, kFewKeys));
  source.template few_scores<count>(rows.q, begin, most, rows.scores);
  StripFactors factors;
  strip_softmax<Micro>(rows, 0, count, begin, keys, &factors);
  source.prefetch_keys(begin + kAttentionKeyBlock, std::min(next_keys, kFewKeys));
  source.template few_outputs<count>(begin, keys, rows.scores, factors.keep, factors.take, rows.total,
                                     rows.v_columns);
}

// Takes the rows through all keys that they see. What a source of keys and values has:
//   few_scores<count>(q, begin, keys, scores)   the scores of up to kFewRows rows
//   few_outputs<count>(begin, keys, weights, keep, take, total, total_stride)
//   prefetch_keys(begin, keys), prefetch_values(begin, keys)
//   pack(rows, begin, keys, panels)             the block's values into rows.v, and where its keys' panels stand
template <typename Micro, typename Source>
void attend_rows(const RowSet& rows, const Source& source) {
  const AttentionParams& p = rows.p;
  const KeyRange range = begin_rows(rows);
  static_assert(kFewRows == 4, "the switch below has a case for each number of rows");
  const bool in_place = rows.count <= kFewRows && p.v_dim % 8 == 0;
  for (int64_t begin = range.first / kAttentionKeyBlock * kAttentionKeyBlock; begin < range.limit;
       begin += kAttentionKeyBlock) {
    const int64_t keys = std::min(kAttentionKeyBlock, range.limit - begin);
    if (in_place) {
      const int64_t next_keys = range.limit - begin - keys;
      switch (rows.count) {
        case 1: attend_few<Micro, 1>(rows, source, begin, next_keys); break;
        case 2: attend_few<Micro, 2>(rows, source, begin, next_keys); break;
        case 3: attend_few<Micro, 3>(rows, source, begin, next_keys); break;
        default: attend_few<Micro, 4>(rows, source, begin, next_keys);
      }
      continue;
    }
    KeyPanels panels;
    source.pack(rows, begin, keys, panels);
    for (int64_t strip = 0; strip < rows.count; strip += kStripRows) attend_strip<Micro>(rows, panels, strip, begin);
  }
  finish_rows(rows);
}

// Calls attend(rows) for as many rows of a tile at a time as fit into the scratch.
template <typename Attend>
void attend_tile(const AttentionParams& p, const AttentionTile& tile, Scratch& scratch, Attend attend) {
  const int64_t tile_rows = tile.queries * tile.heads;
  const int64_t capacity = row_capacity(p, scratch);
  for (int64_t first = 0; first < tile_rows; first += capacity) {
    const int64_t count = std::min(capacity, tile_rows - first);
    const int64_t padded = padded_rows(count);
    const int64_t v_columns = round_up(p.v_dim, kPanel);
    Carver carver = {scratch.data};
    float* q = carver.take<float>(count * p.dim);
    float* total = carver.take<float>(count * v_columns);
    float* total_max = carver.take<float>(padded);
    float* total_sum = carver.take<float>(padded);
    int32_t* limits = carver.take<int32_t>(padded);
    int32_t* firsts = carver.take<int32_t>(padded);
    float* k = carver.take<float>(kAttentionKeyBlock * p.dim);
    float* v = carver.take<float>(kAttentionKeyBlock * v_columns);
    float* scores = carver.take<float>(kAttentionKeyBlock * kMaxStripRows);
    attend(RowSet{p, tile, first, count, v_columns, q, total, total_max, total_sum, limits, firsts, k, v, scores});
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
