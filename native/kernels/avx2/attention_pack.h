// Loads and packing of attention's operands in f32 or f16: K is transposed, and V copied, into panels of 16 columns.
// Included by attention_rows.h and the micro-kernels.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "core/op.h"

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
      _mm_prefetch(reinterpret_cast<const char*>(row + column), _MM_HINT_T0);
    }
  }
}

inline __m128 load4(const float* p) { return _mm_loadu_ps(p); }
inline __m128 load4(const uint16_t* p) { return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))); }
inline __m256 load8(const float* p) { return _mm256_loadu_ps(p); }
inline __m256 load8(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline float load1(const float* p) { return *p; }
inline float load1(const uint16_t* p) { return _cvtsh_ss(*p); }

// Loads 4 columns of 8 rows, transposed: column[d] has element d of rows 0 .. 7. at(i) is the address of row i's
// columns.
template <typename RowAt>
inline __attribute__((always_inline)) void transpose_8x4(RowAt at, __m256 (&column)[4]) {
  __m256 r[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(load4(at(i))), load4(at(i + 4)), 1);
  }
  const __m256 low01 = _mm256_unpacklo_ps(r[0], r[1]);
  const __m256 high01 = _mm256_unpackhi_ps(r[0], r[1]);
  const __m256 low23 = _mm256_unpacklo_ps(r[2], r[3]);
  const __m256 high23 = _mm256_unpackhi_ps(r[2], r[3]);
  column[0] = _mm256_shuffle_ps(low01, low23, 0x44);
  column[1] = _mm256_shuffle_ps(low01, low23, 0xee);
  column[2] = _mm256_shuffle_ps(high01, high23, 0x44);
  column[3] = _mm256_shuffle_ps(high01, high23, 0xee);
}

// Packs `keys` rows of K into panels [dim][16]. In the last panel missing keys repeat the last one; their scores are
// not used.
template <typename T>
inline void pack_k(const T* k, int64_t stride, int64_t keys, int64_t dim, float* packed) {
  for (int64_t key = 0; key < keys; key += kPanel, packed += dim * kPanel) {
    for (int64_t half = 0; half < kPanel; half += 8) {
      const T* row[8];
      for (int64_t i = 0; i < 8; ++i) row[i] = k + std::min(key + half + i, keys - 1) * stride;
      int64_t d = 0;
#pragma GCC unroll 2
      for (; d + 4 <= dim; d += 4) {
        __m256 column[4];
        transpose_8x4([&](int i) { return row[i] + d; }, column);
#pragma GCC unroll 4
        for (int64_t i = 0; i < 4; ++i) _mm256_store_ps(packed + (d + i) * kPanel + half, column[i]);
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
      _mm256_store_ps(target, load8(v + column));
      _mm256_store_ps(target + 8, load8(v + column + 8));
    }
    if (column == v_dim) continue;
    for (int64_t i = 0; i < kPanel; ++i) target[i] = column + i < v_dim ? load1(v + column + i) : 0.0f;
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
