// attention with AVX2: packs a key block of K and V, then takes the rows of the tile through it, a strip at a time:
// scores, weights and outputs of a strip stay in the first-level cache. Tiles of few rows (decoding) go through
// attention_few.h instead; the bits are the same.
#include "kernels/attention.h"

#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "kernels/avx2/attention_few.h"
#include "kernels/avx2/attention_micro.h"
#include "kernels/avx2/attention_pack.h"
#include "kernels/avx2/attention_softmax.h"

namespace tesserae {
namespace attention {
namespace {

// Rows whose scores of a key block are held at a time: 12 KiB, beside a V panel of 16 KiB in the first-level cache.
constexpr int64_t kStripRows = 12;
constexpr int64_t kMaxStripRows = 16;  // rounded up to whole vectors
static_assert(kStripRows % kMicroRows == 0 && kStripRows <= kMaxStripRows, "a strip is whole micro-tiles");
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
  float* k;           // packed key block
  float* v;           // packed key block
  float* scores;      // [kMaxStripRows][kAttentionKeyBlock]

  int64_t query(int64_t row) const { return tile.first_query + (first + row) / tile.heads; }
  int64_t head(int64_t row) const { return tile.first_head + (first + row) % tile.heads; }
  const float* mask(int64_t row) const {
    return p.mask + tile.batch * p.mask_batch + head(row) * p.mask_head + query(row) * p.mask_row;
  }
};

// Loads the rows' queries and sets their state to nothing seen. Returns the largest limit.
int64_t begin_rows(const RowSet& rows) {
  const AttentionParams& p = rows.p;
  const __m256 factor = _mm256_set1_ps(static_cast<float>(p.scale * 1.44269504088896340736));
  int64_t longest = 0;
  for (int64_t row = 0; row < rows.count; ++row) {
    const float* q = p.q + rows.tile.batch * p.q_batch + rows.head(row) * p.q_head + rows.query(row) * p.q_row;
    float* target = rows.q + row * p.dim;
    int64_t d = 0;
    for (; d + 8 <= p.dim; d += 8) _mm256_storeu_ps(target + d, _mm256_mul_ps(_mm256_loadu_ps(q + d), factor));
    for (; d < p.dim; ++d) target[d] = q[d] * _mm256_cvtss_f32(factor);
    const int64_t limit = attention_limit(p, rows.tile.batch, rows.query(row));
    rows.limits[row] = static_cast<int32_t>(limit);
    longest = std::max(longest, limit);
  }
  const int64_t padded = padded_rows(rows.count);
  std::fill(rows.limits + rows.count, rows.limits + padded, 0);
  std::fill(rows.total_max, rows.total_max + padded, -INFINITY);
  std::fill(rows.total_sum, rows.total_sum + padded, 0.0f);
  std::fill(rows.total, rows.total + rows.count * rows.v_columns, 0.0f);
  return longest;
}

void finish_rows(const RowSet& rows) {
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

// How many keys of the block at `begin` each row of a strip sees. Returns the most.
int64_t keys_seen(const RowSet& rows, int64_t strip, int64_t strip_rows, int64_t begin, int32_t* keys) {
  int64_t most = 0;
  for (int64_t r = 0; r < kMaxStripRows; ++r) {
    const int64_t limit = r < strip_rows ? rows.limits[strip + r] : 0;
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

// The weights of a strip, in place of its scores, and the merge of their maxima and sums.
void strip_softmax(const RowSet& rows, int64_t strip, int64_t strip_rows, int64_t begin, const int32_t* keys,
                   StripFactors* factors) {
  for (int64_t r = 0; r < strip_rows; ++r) {
    factors->block_max[r] = -INFINITY;
    factors->block_sum[r] = 0;
    if (keys[r] == 0) continue;
    float* scores = rows.scores + r * kAttentionKeyBlock;
    if (rows.p.mask) {
      softmax_row<true>(scores, keys[r], rows.mask(strip + r) + begin, factors->block_max + r, factors->block_sum + r);
    } else {
      softmax_row<false>(scores, keys[r], nullptr, factors->block_max + r, factors->block_sum + r);
    }
  }
  for (int64_t r = strip_rows; r < kMaxStripRows; ++r) factors->block_max[r] = factors->block_sum[r] = 0;
  for (int64_t r = 0; r < strip_rows; r += 8) {
    merge_rows(factors->block_max + r, factors->block_sum + r, keys + r, rows.total_max + strip + r,
               rows.total_sum + strip + r, factors->keep + r, factors->take + r);
  }
}

using ScoresKernel = decltype(&scores_avx2<1>);
constexpr ScoresKernel kScores[] = {nullptr,         scores_avx2<1>, scores_avx2<2>, scores_avx2<3>,
                                    scores_avx2<4>, scores_avx2<5>, scores_avx2<6>};
using OutputsKernel = decltype(&outputs_avx2<1, 2>);
constexpr OutputsKernel kOutputs[] = {nullptr,            outputs_avx2<1, 2>, outputs_avx2<2, 2>, outputs_avx2<3, 2>,
                                      outputs_avx2<4, 2>, outputs_avx2<5, 2>, outputs_avx2<6, 2>};
static_assert(sizeof(kScores) / sizeof(kScores[0]) == kMicroRows + 1, "a kernel for each number of rows");

void attend_strip(const RowSet& rows, int64_t strip, int64_t begin) {
  const AttentionParams& p = rows.p;
  const int64_t strip_rows = std::min(kStripRows, rows.count - strip);
  alignas(32) int32_t keys[kMaxStripRows];
  const int64_t most = keys_seen(rows, strip, strip_rows, begin, keys);
  if (most == 0) return;
  for (int64_t key = 0; key < most; key += kPanel) {
    for (int64_t r = 0; r < strip_rows; r += kMicroRows) {
      kScores[std::min<int64_t>(kMicroRows, strip_rows - r)](p.dim, rows.q + (strip + r) * p.dim,
                                                             rows.k + key * p.dim,
                                                             rows.scores + r * kAttentionKeyBlock + key);
    }
  }
  StripFactors factors;
  strip_softmax(rows, strip, strip_rows, begin, keys, &factors);
  for (int64_t column = 0; column < rows.v_columns; column += kPanel) {
    for (int64_t r = 0; r < strip_rows; r += kMicroRows) {
      kOutputs[std::min<int64_t>(kMicroRows, strip_rows - r)](
          keys + r, rows.scores + r * kAttentionKeyBlock, rows.v + column * kAttentionKeyBlock, kPanel,
          factors.keep + r, factors.take + r, rows.total + (strip + r) * rows.v_columns + column, rows.v_columns);
    }
  }
}

// `count` rows, at most kFewRows, and one key block of which the first rows of K and V are given; after it come
// next_keys more, if positive. Nothing is packed.
template <int count, typename T>
void attend_few(const RowSet& rows, int64_t begin, const T* k, const T* v, int64_t next_keys) {
  const AttentionParams& p = rows.p;
  alignas(32) int32_t keys[kMaxStripRows];
  const int64_t most = keys_seen(rows, 0, count, begin, keys);
  prefetch_rows(v, p.v_row, p.v_dim, std::min(most, kFewKeys));
  few_scores_avx2<count>(p.dim, rows.q, k, p.k_row, most, rows.scores);
  StripFactors factors;
  strip_softmax(rows, 0, count, begin, keys, &factors);
  prefetch_rows(k + kAttentionKeyBlock * p.k_row, p.k_row, p.dim, std::min(next_keys, kFewKeys));
  few_outputs_avx2<count>(keys, rows.scores, v, p.v_row, p.v_dim, factors.keep, factors.take, rows.total,
                          rows.v_columns);
}

template <typename T>
void attend_rows(const RowSet& rows) {
  const AttentionParams& p = rows.p;
  const T* k = static_cast<const T*>(p.k) + rows.tile.batch * p.k_batch + rows.tile.kv_head * p.k_head;
  const T* v = static_cast<const T*>(p.v) + rows.tile.batch * p.v_batch + rows.tile.kv_head * p.v_head;
  const int64_t longest = begin_rows(rows);
  static_assert(kFewRows == 4, "the switch below has a case for each number of rows");
  const bool in_place = rows.count <= kFewRows && p.v_dim % 8 == 0;
  for (int64_t begin = 0; begin < longest; begin += kAttentionKeyBlock) {
    const int64_t keys = std::min(kAttentionKeyBlock, longest - begin);
    const T* block_k = k + begin * p.k_row;
    const T* block_v = v + begin * p.v_row;
    if (in_place) {
      switch (rows.count) {
        case 1: attend_few<1>(rows, begin, block_k, block_v, longest - begin - keys); break;
        case 2: attend_few<2>(rows, begin, block_k, block_v, longest - begin - keys); break;
        case 3: attend_few<3>(rows, begin, block_k, block_v, longest - begin - keys); break;
        default: attend_few<4>(rows, begin, block_k, block_v, longest - begin - keys);
      }
      continue;
    }
    pack_k(block_k, p.k_row, keys, p.dim, rows.k);
    pack_v(block_v, p.v_row, keys, p.v_dim, rows.v, kAttentionKeyBlock * kPanel);
    for (int64_t strip = 0; strip < rows.count; strip += kStripRows) attend_strip(rows, strip, begin);
  }
  finish_rows(rows);
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
int64_t row_capacity(const AttentionParams& p, const Scratch& scratch) {
  const int64_t v_columns = round_up(p.v_dim, kPanel);
  const int64_t block_bytes = 4 * kAttentionKeyBlock * (p.dim + v_columns + kMaxStripRows) + 16 * kCacheLineBytes;
  const int64_t row_bytes = 4 * (p.dim + v_columns + 3);
  return (static_cast<int64_t>(scratch.size_bytes) - block_bytes) / row_bytes / kStripRows * kStripRows;
}
static_assert(int64_t{kScratchBytes} >
                  4 * (kAttentionKeyBlock + 2 * kMaxStripRows) * (2 * kAttentionMaxDim + kMaxStripRows),
              "a strip of the widest heads fits into the scratch");

}  // namespace
}  // namespace attention

KernelStatus attention_avx2(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  using namespace attention;
  const auto& p = op.as<AttentionParams>();
  const AttentionTile tile = attention_tile(p, tile_index);
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
    float* k = carver.take<float>(kAttentionKeyBlock * p.dim);
    float* v = carver.take<float>(kAttentionKeyBlock * v_columns);
    float* scores = carver.take<float>(kAttentionKeyBlock * kMaxStripRows);
    const RowSet rows = {p, tile, first, count, v_columns, q, total, total_max, total_sum, limits, k, v, scores};
    if (p.kv_dtype == DType::f16) {
      attend_rows<uint16_t>(rows);
    } else {
      attend_rows<float>(rows);
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
