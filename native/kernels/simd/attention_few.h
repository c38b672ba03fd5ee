// The products of attention for few rows (decoding): K is transposed in registers and V is read in place, so that both
// are read once and nothing is packed. The sums have the same bits as those of attention_micro.h. Included by
// attention_rows.h.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/simd/attention_pack.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr int64_t kFewRows = 4;    // up to this many rows; for more, packing is faster
constexpr int64_t kFewKeys = 16;   // rows of V used for all columns at a time, while the next ones are prefetched

// c[r][:] += a[r][step] · load(step, :) for the steps begin .. end-1.
template <int rows, int vectors, typename Load>
inline __attribute__((always_inline)) void accumulate_loaded(F32x8 (&c)[rows][vectors], const float* a,
                                                             int64_t a_stride, int64_t begin, int64_t end, Load load) {
#pragma GCC unroll 2
  for (int64_t step = begin; step < end; ++step) {
    F32x8 columns[vectors];
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) columns[i] = load(step, i);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const F32x8 factor = broadcast_f32x8(a + r * a_stride + step);
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) c[r][i] = fma(factor, columns[i], c[r][i]);
    }
  }
}

// Merges 8 sums of a key block into the row's total: total = total · keep + sums · take.
inline void merge_sums(F32x8 sums, float keep, float take, float* total) {
  const F32x8 kept = mul(load_f32x8(total), f32x8(keep));
  store_f32x8(total, fma(sums, f32x8(take), kept));
}

// Computes the scores of `rows` queries (packed, dim apart) with 8 · groups keys, all of which must exist.
template <int rows, int groups, typename T>
inline void scores_in_place(int64_t dim, const float* q, const T* k, int64_t stride, float* scores) {
  F32x8 c[rows][groups];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) c[r][g] = f32x8(0);
  }
  int64_t d = 0;
  for (; d + 4 <= dim; d += 4) {
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) {
      F32x8 column[4];
      load_8x4([&](int i) { return k + (g * 8 + i) * stride + d; }, column);
#pragma GCC unroll 8
      for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
          c[r][g] = fma(broadcast_f32x8(q + r * dim + d + i), column[i], c[r][g]);
        }
      }
    }
  }
  for (; d < dim; ++d) {
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) {
      const T* at = k + g * 8 * stride + d;
      const auto element = [&](int row) { return load1(at + row * stride); };
      const F32x8 column = f32x8(element(0), element(1), element(2), element(3), element(4), element(5),
                                           element(6), element(7));
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        c[r][g] = fma(broadcast_f32x8(q + r * dim + d), column, c[r][g]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) store_aligned_f32x8(scores + r * kAttentionKeyBlock + g * 8, c[r][g]);
  }
}

// Computes the scores of `rows` queries with the first `keys` keys of a block.
template <int rows, typename T>
void few_scores_of(int64_t dim, const float* q, const T* k, int64_t stride, int64_t keys, float* scores) {
  constexpr int groups = rows <= 2 ? 4 : 2;
  int64_t key = 0;
  for (; key + groups * 8 <= keys; key += groups * 8) {
    const int64_t next = key + groups * 8;
    prefetch_rows(k + next * stride, stride, dim, std::min<int64_t>(keys - next, groups * 8));
    scores_in_place<rows, groups>(dim, q, k + key * stride, stride, scores + key);
  }
  for (; key + 8 <= keys; key += 8) scores_in_place<rows, 1>(dim, q, k + key * stride, stride, scores + key);
  if (key == keys) return;
  alignas(32) float last[8 * kAttentionMaxDim];
  for (int64_t i = 0; i < 8; ++i) {
    const T* row = k + std::min(key + i, keys - 1) * stride;
    for (int64_t d = 0; d < dim; ++d) last[i * dim + d] = load1(row + d);
  }
  scores_in_place<rows, 1>(dim, q, last, dim, scores + key);
}

// Up to kFewKeys rows of V, `stride` apart, of f32 or f16.
template <typename T>
struct ValueRows {
  const T* first;
  int64_t stride;
  F32x8 load(int64_t row, int64_t column) const { return load8(first + row * stride + column); }
};

// Continues the chains sums[r][0 .. 8·vectors-1] of `rows` rows with 8 · vectors columns of V, for row r over the first
// keys[r] of `count` keys.
template <int rows, int vectors, typename Values>
inline void continue_sums(const int64_t* keys, const float* weights, const Values& v, int64_t column, int64_t count,
                          float* sums, int64_t sums_stride) {
  int64_t common = count;
  for (int r = 0; r < rows; ++r) common = std::min(common, keys[r]);
  const auto load = [&](int64_t row, int i) __attribute__((always_inline)) { return v.load(row, column + i * 8); };
  F32x8 c[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) c[r][i] = load_aligned_f32x8(sums + r * sums_stride + i * 8);
  }
  accumulate_loaded(c, weights, kAttentionKeyBlock, 0, common, load);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    F32x8 rest[1][vectors];
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) rest[0][i] = c[r][i];
    accumulate_loaded(rest, weights + r * kAttentionKeyBlock, 0, std::max<int64_t>(common, 0), keys[r], load);
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) store_aligned_f32x8(sums + r * sums_stride + i * 8, rest[0][i]);
  }
}

// Like micro_outputs, but for all columns, and with an unpacked V that is read in memory order; v_dim is a multiple of
// 8. rows_at(key, most) returns the rows of V from `key` (a multiple of kFewKeys) on, and may prefetch the next ones;
// `most` is the number of keys in the block. Without `keep` the sums are stored as they are, not merged into the total.
template <int rows, typename RowsAt>
void few_outputs_of(const int32_t* keys, const float* weights, RowsAt rows_at, int64_t v_dim, const float* keep,
                      const float* take, float* total, int64_t total_stride) {
  constexpr int wide = rows == 1 ? 8 : rows <= 3 ? 4 : 2;
  alignas(32) float sums[rows * kAttentionMaxDim];
  std::fill_n(sums, rows * v_dim, 0.0f);
  const int64_t most = *std::max_element(keys, keys + rows);
  for (int64_t begin = 0; begin < most; begin += kFewKeys) {
    const int64_t count = std::min(kFewKeys, most - begin);
    const auto v = rows_at(begin, most);
    int64_t left[rows];
    for (int r = 0; r < rows; ++r) left[r] = std::min<int64_t>(keys[r] - begin, count);
    int64_t column = 0;
    for (; column + wide * 8 <= v_dim; column += wide * 8) {
      continue_sums<rows, wide>(left, weights + begin, v, column, count, sums + column, v_dim);
    }
    for (; column < v_dim; column += 8) {
      continue_sums<rows, 1>(left, weights + begin, v, column, count, sums + column, v_dim);
    }
  }
  for (int r = 0; r < rows; ++r) {
    if (keys[r] == 0) continue;
    float* to = total + r * total_stride;
    for (int64_t column = 0; column < v_dim; column += 8) {
      const F32x8 sum = load_aligned_f32x8(sums + r * v_dim + column);
      if (keep == nullptr) store_f32x8(to + column, sum);
      else merge_sums(sum, keep[r], take[r], to + column);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
