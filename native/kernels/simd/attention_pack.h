// Loads and packing of attention's operands in f32 or f16: K is transposed, and V copied, into panels of 16 columns.
// Included by attention_rows.h and the micro-kernels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/op.h"
#include "kernels/simd/transpose.h"
#include "kernels/vec/vec.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr int64_t kPanel = 16;  // keys of a K panel, columns of a V panel

// Distance of the prefetches of rows that are short and far apart, which the hardware prefetchers do not predict.
constexpr int64_t kRowsAhead = 8;

// Prefetches the cache lines of `count` rows.
template <typename T>
inline void prefetch_rows(const T* row, int64_t stride, int64_t columns, int64_t count) {
  for (; count > 0; --count, row += stride) {
    for (int64_t column = 0; column < columns; column += kCacheLineBytes / static_cast<int64_t>(sizeof(T))) {
      prefetch(row + column);
    }
  }
}

inline F32x4 load4(const float* p) { return load_f32x4(p); }
inline F32x4 load4(const uint16_t* p) { return f16_to_f32_low(load_bits64(p)); }
inline F32x8 load8(const float* p) { return load_f32x8(p); }
inline F32x8 load8(const uint16_t* p) {
  return f16_to_f32(load_bits128(p));
}
inline F32x16 load16(const float* p) { return load_f32x16(p); }
inline F32x16 load16(const uint16_t* p) { return f16_to_f32(load_bits256(p)); }
inline float load1(const float* p) { return *p; }
inline float load1(const uint16_t* p) { return half_to_f32(*p); }

// Loads 4 columns of 8 rows, transposed: column[d] has element d of rows 0 .. 7. at(i) is the address of row i's
// columns.
template <typename RowAt>
inline __attribute__((always_inline)) void load_8x4(RowAt at, F32x8 (&column)[4]) {
  F32x8 r[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = join(load4(at(i)), load4(at(i + 4)));
  }
  transpose_8x4(r, column);
}

// Packs `keys` rows of K into panels [dim][16]. In the last panel missing keys repeat the last one; their scores are
// not used. Sixteen columns of sixteen keys are transposed at a time, or four columns of eight keys.
template <typename T>
inline void pack_k(const T* k, int64_t stride, int64_t keys, int64_t dim, float* packed) {
  if constexpr (kRegisters == 32) {
    for (int64_t key = 0; key < keys; key += kPanel, packed += dim * kPanel) {
      const T* row[kPanel];
      for (int64_t i = 0; i < kPanel; ++i) row[i] = k + std::min(key + i, keys - 1) * stride;
      prefetch_rows(k + (key + kPanel) * stride, stride, dim, std::min(keys - key - kPanel, kPanel));
      int64_t d = 0;
      for (; d + kPanel <= dim; d += kPanel) {
        F32x16 columns[kPanel];
#pragma GCC unroll 16
        for (int i = 0; i < kPanel; ++i) columns[i] = load16(row[i] + d);
        transpose16(columns);
#pragma GCC unroll 16
        for (int i = 0; i < kPanel; ++i) store_aligned_f32x16(packed + (d + i) * kPanel, columns[i]);
      }
      for (; d < dim; ++d) {
        for (int64_t i = 0; i < kPanel; ++i) packed[d * kPanel + i] = load1(row[i] + d);
      }
    }
    return;
  }
  for (int64_t key = 0; key < keys; key += kPanel, packed += dim * kPanel) {
    prefetch_rows(k + (key + kPanel) * stride, stride, dim, std::min(keys - key - kPanel, kPanel));
    for (int64_t half = 0; half < kPanel; half += 8) {
      const T* row[8];
      for (int64_t i = 0; i < 8; ++i) row[i] = k + std::min(key + half + i, keys - 1) * stride;
      int64_t d = 0;
#pragma GCC unroll 2
      for (; d + 4 <= dim; d += 4) {
        F32x8 column[4];
        load_8x4([&](int i) { return row[i] + d; }, column);
#pragma GCC unroll 4
        for (int64_t i = 0; i < 4; ++i) store_aligned_f32x8(packed + (d + i) * kPanel + half, column[i]);
      }
      for (; d < dim; ++d) {
        for (int64_t i = 0; i < 8; ++i) packed[d * kPanel + half + i] = load1(row[i] + d);
      }
    }
  }
}

// Packs `keys` rows of V into panels [keys][16] that are `panel_stride` apart; columns from v_dim on are 0.
template <typename T>
inline void pack_v(const T* v, int64_t stride, int64_t keys, int64_t v_dim, float* packed, int64_t panel_stride) {
  for (int64_t key = 0; key < keys; ++key, v += stride) {
    if (stride != v_dim) prefetch_rows(v + kRowsAhead * stride, 0, v_dim, 1);
    float* target = packed + key * kPanel;
    int64_t column = 0;
    for (; column + kPanel <= v_dim; column += kPanel, target += panel_stride) {
      store_aligned_f32x16(target, load16(v + column));
    }
    if (column == v_dim) continue;
    for (int64_t i = 0; i < kPanel; ++i) target[i] = column + i < v_dim ? load1(v + column + i) : 0.0f;
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
