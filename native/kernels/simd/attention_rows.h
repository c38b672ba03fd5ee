// The loops of attention over a tile. The rows pass through the key blocks, a strip at a time, or all together if they
// are few; scores, weights and outputs of a strip stay in L1. The caller passes the source of keys and values
// (attention_whole.h: contiguous, attention_pages.h: cache pages).
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/attention.h"
#include "kernels/attention_parts.h"
#include "kernels/simd/attention_few.h"
#include "kernels/simd/attention_micro.h"
#include "kernels/simd/attention_pack.h"
#include "kernels/simd/attention_softmax.h"
#include "kernels/simd/attention_strip.h"
#include "kernels/simd/math.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

// The loops from the outermost in. Only the tiles of an op run in parallel; these run on one worker.
//   LOOP 4  attend_tile    splits the tile's rows into as many as fit into scratch
//   LOOP 3  attend_rows    splits the keys into blocks of kAttentionKeyBlock, in ascending order: each block is merged
//                          into the totals of those before
//   LOOP 2  attend_rows    splits the rows into strips of kStripRows
//   LOOP 1  attend_strip   splits the keys (scores) or the columns of V (outputs) into panels, and the strip into
//                          micro-tiles
// With at most kFewRows rows (decoding) loops 2 and 1 are replaced by attend_few.

constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// The length of arrays of row state: whole vectors are read from the start of any strip.
constexpr int64_t padded_rows(int64_t rows) { return round_up(rows, kStripRows) + kMaxStripRows; }

// Some rows of a tile, and their state in scratch. A row is one head of one query; rows are ordered by query, then
// head.
struct RowSet {
  const AttentionParams& p;
  const AttentionTile& tile;
  int64_t first;  // the index of the first row in the tile
  int64_t count;
  int64_t v_columns;  // v_dim rounded up to whole panels
  float* q;           // [count][dim], multiplied by scale · log2 e
  float* total;       // [count][v_columns]
  float* total_max;   // [padded_rows(count)], like the next three
  float* total_sum;
  int32_t* limits;    // attention_limit of each row
  int32_t* firsts;    // attention_first of each row
  float* k;           // packed key block
  float* v;           // packed key block
  float* scores;      // [kMaxStripRows][kAttentionKeyBlock]

  int64_t query(int64_t row) const { return tile.first_query + (first + row) / tile.heads; }
  int64_t head(int64_t row) const { return tile.first_head + (first + row) % tile.heads; }
  const float* mask(int64_t row) const {
    return p.mask + tile.batch * p.mask_batch + head(row) * p.mask_head + query(row) * p.mask_row;
  }
};

// The keys that at least one of the rows may see: first .. limit - 1.
struct KeyRange {
  int64_t first;
  int64_t limit;
};

// Iterates over rows without a division for each.
struct RowCursor {
  const RowSet& rows;
  int64_t query;
  int64_t head;

  RowCursor(const RowSet& set, int64_t row)
      : rows(set),
        query(set.tile.heads == 1 ? set.tile.first_query + set.first + row : set.query(row)),
        head(set.tile.heads == 1 ? set.tile.first_head : set.head(row)) {}
  void next() {
    if (++head < rows.tile.first_head + rows.tile.heads) return;
    head = rows.tile.first_head;
    ++query;
  }
  const float* q() const {
    return rows.p.q + rows.tile.batch * rows.p.q_batch + head * rows.p.q_head + query * rows.p.q_row;
  }
  float* out() const {
    return rows.p.out + rows.tile.batch * rows.p.out_batch + head * rows.p.out_head + query * rows.p.out_row;
  }
};

// Loads the rows' queries, computes their limits, and initialises their maxima and sums. load(q, to) returns the query to
// use: q itself, or a copy in `to`.
template <typename Load>
inline KeyRange begin_rows(const RowSet& rows, Load load) {
  const AttentionParams& p = rows.p;
  const float factor = static_cast<float>(p.scale * 1.44269504088896340736);
  KeyRange range = {p.kv_len, 0};
  RowCursor at(rows, 0);
  RowCursor ahead(rows, kRowsAhead);
  for (int64_t row = 0; row < rows.count; ++row, at.next(), ahead.next()) {
    prefetch_rows(ahead.q(), 0, p.dim, 1);
    float* q = rows.q + row * p.dim;
    multiply(load(at.q(), q), p.dim, factor, q);
    const int64_t limit = attention_limit(p, rows.tile.batch, at.query);
    const int64_t key = attention_first(p, rows.tile.batch, at.query);
    rows.limits[row] = static_cast<int32_t>(limit);
    rows.firsts[row] = static_cast<int32_t>(key);
    range.first = std::min(range.first, key);
    range.limit = std::max(range.limit, limit);
  }
  const int64_t padded = padded_rows(rows.count);
  std::fill(rows.limits + rows.count, rows.limits + padded, 0);
  std::fill(rows.total_max, rows.total_max + padded, -INFINITY);
  std::fill(rows.total_sum, rows.total_sum + padded, 0.0f);
  return range;
}

// Writes the outputs of rows after all key blocks have been merged into their totals.
inline void finish_rows(const RowSet& rows) {
  const int64_t v_dim = rows.p.v_dim;
  RowCursor at(rows, 0);
  for (int64_t row = 0; row < rows.count; ++row, at.next()) {
    float* out = at.out();
    const float* total = rows.total + row * rows.v_columns;
    const float inverse = 1 / rows.total_sum[row];
    if (rows.total_sum[row] == 0) {
      std::fill(out, out + v_dim, 0.0f);
      continue;
    }
    multiply(total, v_dim, inverse, out);
  }
}

// Computes how many keys of the block at `begin` each row of a strip uses: those up to its limit, or none if its window
// starts after the block. Returns the maximum.
inline int64_t keys_seen(const RowSet& rows, int64_t strip, int64_t strip_rows, int64_t begin, int32_t* keys) {
  const Bits256 first = i32x8(static_cast<int32_t>(begin));
  const Bits256 block = i32x8(static_cast<int32_t>(kAttentionKeyBlock));
  const Bits256 end = add_i32(first, block);
  const Bits256 none = i32x8(0);
  Bits256 most = none;
  for (int64_t r = 0; r < kMaxStripRows; r += 8) {
    const Bits256 limits = load_bits256(rows.limits + strip + r);
    const Bits256 firsts = load_bits256(rows.firsts + strip + r);
    const Bits256 sees = bit_and(greater_i32(min_i32(limits, end), firsts),
                                          first_lanes(strip_rows - r));
    const Bits256 seen = min_i32(max_i32(sub_i32(limits, first), none), block);
    const Bits256 counts = bit_and(seen, sees);
    store_aligned_bits256(keys + r, counts);
    most = max_i32(most, counts);
  }
  alignas(32) int32_t lanes[8];
  store_aligned_bits256(lanes, most);
  return *std::max_element(lanes, lanes + 8);
}

// Applies the cap, the slopes and the window (attention.h) to `keys` scores of the block at `begin`, in place.
inline void adjust_scores(const RowSet& rows, int64_t row, int64_t begin, int64_t keys, float* scores) {
  const AttentionParams& p = rows.p;
  if (p.softcap > 0) {
    const float cap = static_cast<float>(p.softcap * 1.44269504088896340736);
    const F32x8 caps = f32x8(cap);
    const F32x8 inverse = f32x8(1 / cap);
    for (int64_t j = 0; j < keys; j += 8) {
      const F32x8 score = load_aligned_f32x8(scores + j);
      store_aligned_f32x8(scores + j, mul(caps, tanh_lanes(mul(score, inverse))));
    }
  }
  if (p.slopes) {
    const F32x8 slope = f32x8(-p.slopes[rows.head(row)] * kLog2e);
    const auto position = static_cast<int32_t>(attention_position(p, rows.tile.batch, rows.query(row)) - begin);
    Bits256 distance = sub_i32(i32x8(position), i32x8(0, 1, 2, 3, 4, 5, 6, 7));
    for (int64_t j = 0; j < keys; j += 8) {
      const F32x8 steps = i32_to_f32(abs_i32(distance));
      store_aligned_f32x8(scores + j, fma(slope, steps, load_aligned_f32x8(scores + j)));
      distance = sub_i32(distance, i32x8(8));
    }
  }
  const int64_t before = rows.firsts[row] - begin;
  if (before > 0) std::fill(scores, scores + before, -INFINITY);
}

// Applies cap, slopes, window and mask to a row's scores, in place, and returns their maximum.
inline float adjusted_maximum(const RowSet& rows, int64_t row, int64_t begin, int64_t keys, int64_t padded,
                              float* scores) {
  if (keys == 0) {
    std::fill(scores, scores + padded, -INFINITY);
    return -INFINITY;
  }
  if (rows.p.softcap > 0 || rows.p.slopes || rows.p.window) adjust_scores(rows, row, begin, keys, scores);
  if (rows.p.mask) return row_maximum<true>(scores, keys, padded, rows.mask(row) + begin);
  return row_maximum<false>(scores, keys, padded, nullptr);
}

// Computes the maxima of a strip's rows in the block, and merges them into those so far. `kept`: the micro-kernels have
// kept the maxima of the unadjusted scores.
inline void strip_maxima(const RowSet& rows, int64_t first, int64_t begin, bool kept, Strip& strip) {
  const AttentionParams& p = rows.p;
  const int64_t padded = round_up(strip.most, kPanel);
  const bool bare = p.softcap <= 0 && !p.slopes && !p.window && !p.mask;
  const bool whole = strip.most == padded && *std::min_element(strip.keys, strip.keys + strip.rows) == strip.most;
  if (kept && bare && whole) {
    for (int64_t r = 0; r < strip.rows; ++r) strip.block_max[r] = max_lanes(load_aligned_f32x16(strip.maxima + r * kPanel));
  } else {
    for (int64_t r = 0; r < strip.rows; ++r) {
      strip.block_max[r] = adjusted_maximum(rows, first + r, begin, strip.keys[r], padded,
                                                   strip.scores + r * kAttentionKeyBlock);
    }
  }
  std::fill(strip.block_max + strip.rows, strip.block_max + kMaxStripRows, 0.0f);
  std::fill(strip.block_sum + strip.rows, strip.block_sum + kMaxStripRows, 0.0f);
  if (strip.outputs != Outputs::merged) return;
  for (int64_t r = 0; r < strip.rows; r += 8) {
    merge_maxima(strip.block_max + r, strip.keys + r, rows.total_max + first + r, strip.keep + r, strip.take + r);
  }
}

// Replaces the scores of a strip by weights, and computes their sums.
inline void strip_weights(Strip& strip) {
  for (int64_t r = 0; r < strip.rows; ++r) {
    strip.block_sum[r] =
        row_weights(strip.scores + r * kAttentionKeyBlock, strip.keys[r], strip.block_max[r]);
  }
}

// Merges the strip's sums of weights into the rows' totals. With a single key block, computes the factors of the outputs
// from them; for parts, stores them and the maxima behind the outputs.
inline void strip_sums(const RowSet& rows, int64_t first, Strip& strip) {
  if (strip.outputs == Outputs::whole) return single_factors(strip.block_sum, strip.rows, strip.take);
  if (strip.outputs == Outputs::parts) {
    for (int64_t r = 0; r < strip.rows; ++r) {
      float* results = strip.to[r] + part_maximum(rows.p.v_dim);
      results[0] = strip.block_max[r];
      results[1] = strip.block_sum[r];
    }
    return;
  }
  for (int64_t r = 0; r < strip.rows; r += 8) {
    merge_block_sums(strip.block_sum + r, strip.keys + r, strip.keep + r, strip.take + r, rows.total_sum + first + r);
  }
}

// Computes the rows of a strip with the key block at `begin`. `lines`: of the first of all rows, for parts.
inline void attend_strip(const RowSet& rows, const BlockPanels& panels, int64_t first, int64_t begin, Outputs outputs,
                         float* lines) {
  static_assert(kStripRows % kMicroRows == 0, "a strip is whole micro-tiles");
  const AttentionParams& p = rows.p;
  Strip strip;
  strip.rows = std::min(kStripRows, rows.count - first);
  strip.most = keys_seen(rows, first, strip.rows, begin, strip.keys);
  strip.outputs = outputs;
  strip.scores = rows.scores;
  strip.values = panels.values;
  if (outputs == Outputs::parts) {
    for (int64_t r = 0; r < strip.rows; ++r) strip.to[r] = lines + (first + r) * part_line(p.v_dim);
  } else if (outputs == Outputs::whole) {
    RowCursor at(rows, first);
    for (int64_t r = 0; r < strip.rows; ++r, at.next()) {
      strip.to[r] = at.out();
      if (p.out_row != p.v_dim) prefetch_rows(strip.to[r], 0, p.v_dim, 1);
      if (strip.most == 0) std::fill(strip.to[r], strip.to[r] + p.v_dim, 0.0f);
    }
  } else {
    for (int64_t r = 0; r < strip.rows; ++r) strip.to[r] = rows.total + (first + r) * rows.v_columns;
  }
  if (strip.most == 0) return;
  const int64_t key_panels = (strip.most + kPanel - 1) / kPanel;
  for (int64_t r = 0; r < strip.rows; ++r) store_aligned_f32x16(strip.maxima + r * kPanel, f32x16(-INFINITY));
  for (int64_t panel = 0; panel < key_panels; panel += kMicroPanels) {
    for (int64_t r = 0; r < strip.rows; r += kMicroRows) {
      micro_scores(std::min<int64_t>(kMicroRows, strip.rows - r), std::min<int64_t>(kMicroPanels, key_panels - panel),
                    p.dim, rows.q + (first + r) * p.dim, panels.keys + panel,
                    rows.scores + r * kAttentionKeyBlock + panel * kPanel, strip.maxima + r * kPanel);
    }
  }
  strip_maxima(rows, first, begin, true, strip);
  const int64_t column_panels = rows.v_columns / kPanel;
  int64_t panel = 0;
  if (weigh(strip, std::min<int64_t>(kMicroPanels, column_panels))) panel = kMicroPanels;
  else strip_weights(strip);
  strip_sums(rows, first, strip);
  for (; panel < column_panels; panel += kMicroPanels) {
    for (int64_t r = 0; r < strip.rows; r += kMicroRows) {
      micro_outputs(strip, r, std::min<int64_t>(kMicroRows, strip.rows - r), panel,
                     std::min<int64_t>(kMicroPanels, column_panels - panel));
    }
  }
}

// Allocates 64-byte aligned arrays from scratch.
struct Carver {
  unsigned char* next;
  template <typename T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(next);
    next += round_up(count * static_cast<int64_t>(sizeof(T)), kCacheLineBytes);
    return piece;
  }
};

// How many rows of a tile fit into scratch beside a packed key block; at least one strip.
inline int64_t row_capacity(const AttentionParams& p, const Scratch& scratch) {
  const int64_t v_columns = round_up(p.v_dim, kPanel);
  const int64_t block_bytes = 4 * kAttentionKeyBlock * (p.dim + v_columns + kMaxStripRows) + 24 * kCacheLineBytes;
  const int64_t row_bytes = 4 * (p.dim + v_columns + 4);
  return (static_cast<int64_t>(scratch.size_bytes) - block_bytes) / row_bytes / kStripRows * kStripRows;
}
static_assert(int64_t{kScratchBytes} >
                  4 * (kAttentionKeyBlock + 2 * kMaxStripRows) * (2 * kAttentionMaxDim + kMaxStripRows),
              "a strip of the widest heads fits into the scratch");

// Computes `count` rows (at most kFewRows) with the key block at `begin`, without packing. If next_keys > 0, so many
// keys follow after the block, and the first of them are prefetched. `lines` as in attend_strip; null to merge.
template <int count, typename Source>
void attend_few(const RowSet& rows, const Source& source, int64_t begin, int64_t next_keys, float* lines) {
  Strip strip;
  strip.rows = count;
  strip.most = keys_seen(rows, 0, count, begin, strip.keys);
  const bool merges = lines == nullptr;
  strip.outputs = merges ? Outputs::merged : Outputs::parts;
  float* to = merges ? rows.total : lines;
  const int64_t stride = merges ? rows.v_columns : part_line(rows.p.v_dim);
  for (int64_t r = 0; r < count; ++r) strip.to[r] = to + r * stride;
  strip.scores = rows.scores;
  source.prefetch_values(begin, std::min(strip.most, kFewKeys));
  source.template few_scores<count>(rows.q, begin, strip.most, rows.scores);
  strip_maxima(rows, 0, begin, false, strip);
  strip_weights(strip);
  strip_sums(rows, 0, strip);
  source.prefetch_keys(begin + kAttentionKeyBlock, std::min(next_keys, kFewKeys));
  source.template few_outputs<count>(begin, strip.keys, rows.scores, merges ? strip.keep : nullptr, strip.take, to,
                                     stride);
}

// Calls attend_few for the number of rows, 1 to kFewRows.
template <typename Source>
void attend_few_rows(const RowSet& rows, const Source& source, int64_t begin, int64_t next_keys, float* lines) {
  static_assert(kFewRows == 4, "the switch below has a case for each number of rows");
  switch (rows.count) {
    case 1: return attend_few<1>(rows, source, begin, next_keys, lines);
    case 2: return attend_few<2>(rows, source, begin, next_keys, lines);
    case 3: return attend_few<3>(rows, source, begin, next_keys, lines);
    default: return attend_few<4>(rows, source, begin, next_keys, lines);
  }
}

// Whether the rows are computed without packing.
inline bool is_in_place(const RowSet& rows) { return rows.count <= kFewRows && rows.p.v_dim % 8 == 0; }

// Computes rows with all keys that they see. A source of keys and values provides:
//   few_scores<count>(q, begin, keys, scores)   the scores of `count` (at most kFewRows) rows
//   few_outputs<count>(begin, keys, weights, keep, take, total, total_stride)   see few_outputs_of
//   prefetch_keys(begin, keys), prefetch_values(begin, keys)
//   panels(rows, begin, keys, panels)    sets the addresses of the block's panels, packing what must be packed
template <typename Source>
void attend_rows(const RowSet& rows, const Source& source) {
  const AttentionParams& p = rows.p;
  const KeyRange range = begin_rows(rows, [](const float* q, float*) { return q; });
  const bool in_place = is_in_place(rows);
  const int64_t first_block = range.first / kAttentionKeyBlock * kAttentionKeyBlock;
  // With a single key block the totals are skipped. The bits are the same: merging with an empty total has the factor
  // 1.
  const bool single = !in_place && range.first < range.limit && range.limit <= first_block + kAttentionKeyBlock &&
                      p.v_dim == rows.v_columns;
  if (!single) std::fill(rows.total, rows.total + rows.count * rows.v_columns, 0.0f);
  // LOOP 3: split the keys into blocks, sequentially.
  for (int64_t begin = first_block; begin < range.limit; begin += kAttentionKeyBlock) {
    const int64_t keys = std::min(kAttentionKeyBlock, range.limit - begin);
    if (in_place) {
      attend_few_rows(rows, source, begin, range.limit - begin - keys, nullptr);
      continue;
    }
    BlockPanels panels;
    source.panels(rows, begin, keys, panels);
    // LOOP 2: split the rows into strips.
    for (int64_t first = 0; first < rows.count; first += kStripRows) {
      attend_strip(rows, panels, first, begin, single ? Outputs::whole : Outputs::merged, nullptr);
    }
  }
  if (!single) finish_rows(rows);
}

// Computes the parts (attention_parts.h) of rows that are heads of one query, with the keys of `range`: it begins with a
// key block, and the query sees a key in each block. The lines of the first block are those from `lines` on, one for each
// row; those of the next block are `stride` further. load(q, to): see begin_rows.
template <typename Source, typename Load>
void attend_parts(const RowSet& rows, const Source& source, KeyRange range, Load load, float* lines, int64_t stride) {
  begin_rows(rows, load);
  for (int64_t begin = range.first; begin < range.limit; begin += kAttentionKeyBlock, lines += stride) {
    const int64_t keys = std::min(kAttentionKeyBlock, range.limit - begin);
    if (is_in_place(rows)) {
      attend_few_rows(rows, source, begin, range.limit - begin - keys, lines);
      continue;
    }
    BlockPanels panels;
    source.panels(rows, begin, keys, panels);
    for (int64_t first = 0; first < rows.count; first += kStripRows) {
      attend_strip(rows, panels, first, begin, Outputs::parts, lines);
    }
  }
}

// LOOP 4: calls attend(rows) for as many rows of a tile at a time as fit into scratch.
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
