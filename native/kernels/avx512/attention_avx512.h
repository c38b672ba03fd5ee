// The micro-kernels of attention with AVX-512, as attention_rows.h takes them: twelve rows and two panels at a time. Every
// sum is the chain that AVX2 computes.
#pragma once

#include <immintrin.h>

#include <utility>

#include "kernels/attention.h"
#include "kernels/avx2/attention_pack.h"
#include "kernels/avx2/attention_softmax.h"
#include "kernels/avx2/lanes.h"
#include "kernels/avx512/lanes.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr int kMicroRows512 = 12;  // 24 sums, 2 loads of b and a broadcast in 27 of the 32 registers
constexpr int kMicroPanels512 = 2;

// c[r][:] += a[r][step] · b[:][step] for the steps begin .. end-1; panel i of b stands at b[i].
template <int rows, int panels>
inline __attribute__((always_inline)) void accumulate_panels(__m512 (&c)[rows][panels], const float* a,
                                                             int64_t a_stride, const float* const (&b)[panels],
                                                             int64_t begin, int64_t end) {
#pragma GCC unroll 2
  for (int64_t step = begin; step < end; ++step) {
    __m512 columns[panels];
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) columns[i] = _mm512_loadu_ps(b[i] + step * kPanel);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const __m512 factor = _mm512_set1_ps(a[r * a_stride + step]);
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) c[r][i] = _mm512_fmadd_ps(factor, columns[i], c[r][i]);
    }
  }
}

// The scores of `rows` queries (packed, dim apart) and some panels of 16 keys.
template <int rows, int panels>
void scores_avx512(int64_t dim, const float* q, const float* const* k_panels, float* scores) {
  __m512 c[rows][panels];
  const float* k[panels];
#pragma GCC unroll 2
  for (int i = 0; i < panels; ++i) k[i] = k_panels[i];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = _mm512_setzero_ps();
  }
  accumulate_panels<rows, panels>(c, q, dim, k, 0, dim);
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) _mm512_storeu_ps(scores + r * kAttentionKeyBlock + i * kPanel, c[r][i]);
  }
}

// As outputs_avx2, for `panels` panels of columns.
template <int rows, int panels>
void outputs_avx512(const int32_t* keys, const float* weights, const float* v, const float* keep, const float* take,
                    float* total, int64_t total_stride) {
  int64_t common = keys[0];
  bool ragged = false;
  for (int r = 1; r < rows; ++r) {
    ragged |= keys[r] != keys[0];
    if (keys[r] < common) common = keys[r];
  }
  const float* columns[panels];
#pragma GCC unroll 2
  for (int i = 0; i < panels; ++i) columns[i] = v + i * kPanel * kAttentionKeyBlock;
  __m512 c[rows][panels];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = _mm512_setzero_ps();
  }
  accumulate_panels<rows, panels>(c, weights, kAttentionKeyBlock, columns, 0, common);
  if (ragged) {
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      __m512 rest[1][panels];
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) rest[0][i] = c[r][i];
      accumulate_panels<1, panels>(rest, weights + r * kAttentionKeyBlock, 0, columns, common, keys[r]);
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) c[r][i] = rest[0][i];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    if (keys[r] == 0) continue;
    const __m512 keeps = _mm512_set1_ps(keep[r]);
    const __m512 takes = _mm512_set1_ps(take[r]);
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) {
      float* to = total + r * total_stride + i * kPanel;
      _mm512_storeu_ps(to, _mm512_fmadd_ps(c[r][i], takes, _mm512_mul_ps(_mm512_loadu_ps(to), keeps)));
    }
  }
}

// exp2_8 on sixteen lanes.
inline __attribute__((always_inline)) __m512 exp2_16(__m512 x) {
  const __m512 shifter = _mm512_set1_ps(12582912.0f + 127.0f);
  x = _mm512_max_ps(_mm512_set1_ps(-127.0f), x);
  const __m512 shifted = _mm512_add_ps(x, shifter);
  const __m512 r = _mm512_sub_ps(x, _mm512_sub_ps(shifted, shifter));
  __m512 y = _mm512_set1_ps(0x1.5bb9aap-10f);
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0x1.3cea84p-7f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0x1.c6b754p-5f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0x1.ebf9bcp-3f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(0x1.62e42ap-1f));
  y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.0f));
  return _mm512_mul_ps(y, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23)));
}

// softmax_row without a mask. The sum is by lanes of key mod 8, as there.
inline void softmax_row_avx512(float* scores, int64_t keys, float* block_max, float* block_sum) {
  const int64_t padded = (keys + 7) & ~int64_t{7};
  const __m512 none = _mm512_set1_ps(-INFINITY);
  __m512 maximum = none;
  int64_t j = 0;
  for (; j + 16 <= keys; j += 16) maximum = _mm512_max_ps(_mm512_load_ps(scores + j), maximum);
  if (j < keys) {
    const __m512 rest = _mm512_mask_loadu_ps(none, first_of_16(keys - j), scores + j);
    _mm512_mask_storeu_ps(scores + j, first_of_16(padded - j), rest);
    maximum = _mm512_max_ps(rest, maximum);
  }
  *block_max = max_lanes(_mm256_max_ps(_mm512_castps512_ps256(maximum), _mm512_extractf32x8_ps(maximum, 1)));
  const __m256 base8 = base_of(_mm256_set1_ps(*block_max));
  const __m512 base = _mm512_broadcastss_ps(_mm256_castps256_ps128(base8));
  __m256 sums = _mm256_setzero_ps();  // lane = key mod 8
  for (j = 0; j + 16 <= padded; j += 16) {
    const __m512 weight = exp2_16(_mm512_sub_ps(_mm512_load_ps(scores + j), base));
    _mm512_store_ps(scores + j, weight);
    sums = _mm256_add_ps(sums, _mm512_castps512_ps256(weight));
    sums = _mm256_add_ps(sums, _mm512_extractf32x8_ps(weight, 1));
  }
  if (j < padded) {
    const __m256 weight = exp2_8(_mm256_sub_ps(_mm256_load_ps(scores + j), base8));
    _mm256_store_ps(scores + j, weight);
    sums = _mm256_add_ps(sums, weight);
  }
  *block_sum = sum_lanes(sums);
}

// Kernels by panels and rows.
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

  static void scores(int64_t rows, int64_t panels, int64_t dim, const float* q, const float* const* k_panels,
                     float* scores) {
    static constexpr auto kKernels = kernels_of_scores(std::make_integer_sequence<int, kMicroRows512>());
    kKernels.of[panels - 1][rows](dim, q, k_panels, scores);
  }

  static void outputs(int64_t rows, int64_t panels, const int32_t* keys, const float* weights, const float* v,
                      const float* keep, const float* take, float* total, int64_t total_stride) {
    static constexpr auto kKernels = kernels_of_outputs(std::make_integer_sequence<int, kMicroRows512>());
    kKernels.of[panels - 1][rows](keys, weights, v, keep, take, total, total_stride);
  }

  template <bool masked>
  static void softmax_row(float* scores, int64_t keys, const float* mask, float* block_max, float* block_sum) {
    if constexpr (masked) attention::softmax_row<true>(scores, keys, mask, block_max, block_sum);
    else softmax_row_avx512(scores, keys, block_max, block_sum);
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
