// The micro-kernels of attention with AVX-512, in the form that attention_rows.h expects (Micro): twelve rows and two
// panels at a time. Every sum is the same chain as with AVX2.
#pragma once

#include <immintrin.h>

#include <utility>

#include "kernels/attention.h"
#include "kernels/simd/attention_pack.h"
#include "kernels/simd/attention_strip.h"
#include "kernels/avx512/attention_softmax.h"
#include "kernels/avx512/matmul_vector.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr int kMicroRows512 = 12;  // 24 sums, 2 loads of b and a broadcast in 27 of the 32 registers
constexpr int kMicroPanels512 = 2;

// c[r][:] += a[r][step] · b[:][step] for the steps begin .. end-1. Panel i of b starts at b[i]; its rows are `stride`
// apart.
template <int rows, int panels>
inline __attribute__((always_inline)) void accumulate_panels(__m512 (&c)[rows][panels], const float* a,
                                                             int64_t a_stride, const float* const (&b)[panels],
                                                             int64_t stride, int64_t begin, int64_t end) {
#pragma GCC unroll 2
  for (int64_t step = begin; step < end; ++step) {
    __m512 columns[panels];
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) columns[i] = _mm512_loadu_ps(b[i] + step * stride);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const __m512 factor = _mm512_set1_ps(a[r * a_stride + step]);
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) c[r][i] = _mm512_fmadd_ps(factor, columns[i], c[r][i]);
    }
  }
}

// Computes the scores of `rows` queries (packed, dim apart) with some panels of 16 keys, and updates the rows' maxima.
template <int rows, int panels>
void scores_avx512(int64_t dim, const float* q, const float* const* k_panels, float* scores, float* maxima) {
  __m512 c[rows][panels];
  const float* k[panels];
#pragma GCC unroll 2
  for (int i = 0; i < panels; ++i) k[i] = k_panels[i];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = _mm512_setzero_ps();
  }
  accumulate_panels<rows, panels>(c, q, dim, k, kPanel, 0, dim);
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) _mm512_store_ps(scores + r * kAttentionKeyBlock + i * kPanel, c[r][i]);
    __m512 maximum = _mm512_load_ps(maxima + r * kPanel);
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) maximum = _mm512_max_ps(c[r][i], maximum);
    _mm512_store_ps(maxima + r * kPanel, maximum);
  }
}

template <int row, int rows, int panels>
inline __attribute__((always_inline)) void accumulate_row(__m512 (&c)[rows][panels], const float* a,
                                                          const __m512 (&columns)[panels]) {
  if constexpr (row < rows) {
    const __m512 factor = _mm512_set1_ps(a[row * kAttentionKeyBlock]);
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[row][i] = _mm512_fmadd_ps(factor, columns[i], c[row][i]);
  }
}

// Completes the chains of rows if each row sees at least as many keys as the one before, as under a causal limit.
template <int rows, int panels>
inline __attribute__((always_inline)) void accumulate_ascending(__m512 (&c)[rows][panels], const int32_t* keys,
                                                                const float* weights, const float* const (&b)[panels],
                                                                int64_t stride) {
  static_assert(rows <= 12, "the switch below has a case for each row");
  int first = 0;
  for (int64_t key = keys[0]; key < keys[rows - 1]; ++key) {
    while (keys[first] <= key) ++first;
    __m512 columns[panels];
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) columns[i] = _mm512_loadu_ps(b[i] + key * stride);
    switch (first) {
      case 1: accumulate_row<1>(c, weights + key, columns); [[fallthrough]];
      case 2: accumulate_row<2>(c, weights + key, columns); [[fallthrough]];
      case 3: accumulate_row<3>(c, weights + key, columns); [[fallthrough]];
      case 4: accumulate_row<4>(c, weights + key, columns); [[fallthrough]];
      case 5: accumulate_row<5>(c, weights + key, columns); [[fallthrough]];
      case 6: accumulate_row<6>(c, weights + key, columns); [[fallthrough]];
      case 7: accumulate_row<7>(c, weights + key, columns); [[fallthrough]];
      case 8: accumulate_row<8>(c, weights + key, columns); [[fallthrough]];
      case 9: accumulate_row<9>(c, weights + key, columns); [[fallthrough]];
      case 10: accumulate_row<10>(c, weights + key, columns); [[fallthrough]];
      default: accumulate_row<11>(c, weights + key, columns);
    }
  }
}

// Completes the chains of rows that see different numbers of keys, after the first `common` keys.
template <int rows, int panels>
inline __attribute__((always_inline)) void accumulate_ragged(__m512 (&c)[rows][panels], const int32_t* keys,
                                                             const float* weights, const float* const (&b)[panels],
                                                             int64_t stride, int64_t common) {
  bool ascending = true;
  for (int r = 1; r < rows; ++r) ascending &= keys[r - 1] <= keys[r];
  if (ascending) return accumulate_ascending(c, keys, weights, b, stride);
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    __m512 rest[1][panels];
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) rest[0][i] = c[r][i];
    accumulate_panels<1, panels>(rest, weights + r * kAttentionKeyBlock, 0, b, stride, common, keys[r]);
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = rest[0][i];
  }
}

// Stores or merges the sums, as at the end of outputs_6x16.
template <int rows, int panels>
inline __attribute__((always_inline)) void store_outputs(const __m512 (&c)[rows][panels], const Strip& strip, int64_t row,
                                                         int64_t panel) {
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    float* to = strip.to[row + r] + panel * kPanel;
    const __m512 takes = _mm512_set1_ps(strip.take[row + r]);
    if (strip.single) {
      const __mmask16 weighed = strip.take[row + r] == 0 ? 0 : 0xffff;
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) {
        const __m512 sums = _mm512_add_ps(c[r][i], _mm512_setzero_ps());
        _mm512_storeu_ps(to + i * kPanel, _mm512_maskz_mul_ps(weighed, sums, takes));
      }
    } else if (strip.keys[row + r] > 0) {
      const __m512 keeps = _mm512_set1_ps(strip.keep[row + r]);
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) {
        const __m512 kept = _mm512_mul_ps(_mm512_loadu_ps(to + i * kPanel), keeps);
        _mm512_storeu_ps(to + i * kPanel, _mm512_fmadd_ps(c[r][i], takes, kept));
      }
    }
  }
}

// Like outputs_6x16, for `panels` panels of columns.
template <int rows, int panels>
void outputs_avx512(const Strip& strip, int64_t row, int64_t panel) {
  const int32_t* keys = strip.keys + row;
  const float* weights = strip.scores + row * kAttentionKeyBlock;
  int64_t common = keys[0];
  bool ragged = false;
  for (int r = 1; r < rows; ++r) {
    ragged |= keys[r] != keys[0];
    if (keys[r] < common) common = keys[r];
  }
  const float* columns[panels];
#pragma GCC unroll 2
  for (int i = 0; i < panels; ++i) columns[i] = strip.values.first + (panel + i) * strip.values.panel_stride;
  __m512 c[rows][panels];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = _mm512_setzero_ps();
  }
  const int64_t stride = strip.values.row_stride;
  accumulate_panels<rows, panels>(c, weights, kAttentionKeyBlock, columns, stride, 0, common);
  if (ragged) accumulate_ragged(c, keys, weights, columns, stride, common);
  store_outputs(c, strip, row, panel);
}

// Replaces the scores of sixteen keys of a row by their weights, and returns these.
inline __attribute__((always_inline)) __m512 weigh_keys(float* scores, float base, const Exp2Constants& constants) {
  const __m512 weights = exp2_16(_mm512_sub_ps(_mm512_load_ps(scores), _mm512_set1_ps(base)), constants);
  _mm512_store_ps(scores, weights);
  return weights;
}

inline __attribute__((always_inline)) void add_weights(float* sums, __m512 weights) {
  _mm512_store_ps(sums, _mm512_add_ps(_mm512_load_ps(sums), weights));
}

// Computes the weights of a strip of `rows` rows, their sums, and the outputs of the first columns. While the FMA units
// sum the products of sixteen keys, the other units compute the weights of the next sixteen.
template <int rows, int panels>
void weigh_avx512(Strip& strip) {
  const int32_t* keys = strip.keys;
  float* weights = strip.scores;
  const int64_t groups = (strip.most + kPanel - 1) / kPanel;
  const int64_t common = *std::min_element(keys, keys + rows);
  alignas(64) float sums[rows * kPanel];
  float bases[rows];
  for (int r = 0; r < rows; ++r) bases[r] = strip.block_max[r] == -INFINITY ? 0.0f : strip.block_max[r];
  const float* columns[panels];
#pragma GCC unroll 2
  for (int i = 0; i < panels; ++i) columns[i] = strip.values.first + i * strip.values.panel_stride;
  const int64_t stride = strip.values.row_stride;
  __m512 c[rows][panels];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = _mm512_setzero_ps();
  }
  const Exp2Constants* constants = &kExp2Constants;
  for (int r = 0; r < rows; ++r) {
    _mm512_store_ps(sums + r * kPanel, weigh_keys(weights + r * kAttentionKeyBlock, bases[r], *constants));
  }
  int64_t weighed = 1;  // groups of sixteen keys whose weights are computed
  int64_t key = 0;
  for (; weighed < groups && key + kPanel <= common; key += kPanel, ++weighed) {
    float* next = weights + weighed * kPanel;
    for (int r = 0; r < rows; ++r) {
      asm volatile("" : "+r"(constants));  // reload the constants: the registers are needed for the sums
      add_weights(sums + r * kPanel, weigh_keys(next + r * kAttentionKeyBlock, bases[r], *constants));
      accumulate_panels<rows, panels>(c, weights, kAttentionKeyBlock, columns, stride, key + r, key + r + 1);
    }
    accumulate_panels<rows, panels>(c, weights, kAttentionKeyBlock, columns, stride, key + rows, key + kPanel);
  }
  for (; weighed < groups; ++weighed) {
    for (int r = 0; r < rows; ++r) {
      float* at = weights + r * kAttentionKeyBlock + weighed * kPanel;
      add_weights(sums + r * kPanel, weigh_keys(at, bases[r], *constants));
    }
  }
  accumulate_panels<rows, panels>(c, weights, kAttentionKeyBlock, columns, stride, key, common);
  if (common < strip.most) accumulate_ragged(c, keys, weights, columns, stride, common);
  for (int r = 0; r < rows; ++r) strip.block_sum[r] = sum_lanes16(_mm512_load_ps(sums + r * kPanel));
  if (strip.single) single_factors(strip.block_sum, rows, strip.take);
  store_outputs(c, strip, 0, 0);
}

inline __m512 load16(const float* p) { return _mm512_loadu_ps(p); }
inline __m512 load16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// Like pack_k, sixteen columns of sixteen keys at a time.
template <typename T>
inline void pack_k_avx512(const T* k, int64_t stride, int64_t keys, int64_t dim, float* packed) {
  for (int64_t key = 0; key < keys; key += kPanel, packed += dim * kPanel) {
    const T* row[kPanel];
    for (int64_t i = 0; i < kPanel; ++i) row[i] = k + std::min(key + i, keys - 1) * stride;
    if (stride != dim) prefetch_rows(k + (key + kPanel) * stride, stride, dim, std::min(keys - key - kPanel, kPanel));
    int64_t d = 0;
    for (; d + kPanel <= dim; d += kPanel) {
      __m512 columns[kPanel];
#pragma GCC unroll 16
      for (int i = 0; i < kPanel; ++i) columns[i] = load16(row[i] + d);
      matmul::transpose16(columns);
#pragma GCC unroll 16
      for (int i = 0; i < kPanel; ++i) _mm512_store_ps(packed + (d + i) * kPanel, columns[i]);
    }
    for (; d < dim; ++d) {
      for (int64_t i = 0; i < kPanel; ++i) packed[d * kPanel + i] = load1(row[i] + d);
    }
  }
}

// Micro-kernels, indexed by panels - 1 and rows.
template <typename Kernel>
struct Kernels {
  Kernel of[kMicroPanels512][kMicroRows512 + 1];
};
template <int... rows>
constexpr Kernels<decltype(&scores_avx512<1, 1>)> kernels_of_scores(std::integer_sequence<int, rows...>) {
  return {{{nullptr, scores_avx512<rows + 1, 1>...}, {nullptr, scores_avx512<rows + 1, 2>...}}};
}
template <int... rows>
constexpr Kernels<decltype(&outputs_avx512<1, 1>)> kernels_of_outputs(std::integer_sequence<int, rows...>) {
  return {{{nullptr, outputs_avx512<rows + 1, 1>...}, {nullptr, outputs_avx512<rows + 1, 2>...}}};
}

struct MicroAvx512 {
  static constexpr int64_t kRows = kMicroRows512;
  static constexpr int64_t kPanels = kMicroPanels512;
  static constexpr bool kKeepsMaxima = true;

  static void scores(int64_t rows, int64_t panels, int64_t dim, const float* q, const float* const* k_panels,
                     float* scores, float* maxima) {
    static constexpr auto kKernels = kernels_of_scores(std::make_integer_sequence<int, kMicroRows512>());
    kKernels.of[panels - 1][rows](dim, q, k_panels, scores, maxima);
  }

  static void outputs(const Strip& strip, int64_t row, int64_t rows, int64_t panel, int64_t panels) {
    static constexpr auto kKernels = kernels_of_outputs(std::make_integer_sequence<int, kMicroRows512>());
    kKernels.of[panels - 1][rows](strip, row, panel);
  }

  static void begin_maxima(int64_t rows, float* maxima) {
    for (int64_t r = 0; r < rows; ++r) _mm512_store_ps(maxima + r * kPanel, _mm512_set1_ps(-INFINITY));
  }
  static float kept_maximum(const float* maxima) { return max_lanes16(_mm512_load_ps(maxima)); }

  static bool weigh(Strip& strip, int64_t panels) {
    switch (strip.rows) {
      case 4: panels == 2 ? weigh_avx512<4, 2>(strip) : weigh_avx512<4, 1>(strip); return true;
      case 8: panels == 2 ? weigh_avx512<8, 2>(strip) : weigh_avx512<8, 1>(strip); return true;
      case 12: panels == 2 ? weigh_avx512<12, 2>(strip) : weigh_avx512<12, 1>(strip); return true;
      default: return false;
    }
  }

  static void multiply(const float* from, int64_t count, float factor, float* to) {
    const __m512 factors = _mm512_set1_ps(factor);
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) _mm512_storeu_ps(to + i, _mm512_mul_ps(_mm512_loadu_ps(from + i), factors));
    for (; i < count; ++i) to[i] = from[i] * factor;
  }

  template <bool masked>
  static float row_maximum(float* scores, int64_t keys, int64_t padded, const float* mask) {
    if constexpr (masked) return attention::row_maximum<true>(scores, keys, padded, mask);
    else return row_maximum_avx512(scores, keys, padded);
  }
  static float row_weights(float* scores, int64_t keys, float maximum) {
    return row_weights_avx512(scores, keys, maximum);
  }

  template <typename T>
  static void pack_k(const T* k, int64_t stride, int64_t keys, int64_t dim, float* packed) {
    pack_k_avx512(k, stride, keys, dim, packed);
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
