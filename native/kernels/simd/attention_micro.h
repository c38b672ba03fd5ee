// The micro-kernels of attention: some rows of some panels of 16 keys or columns, their sums in registers; every sum is one
// FMA chain in ascending order. Included by attention_rows.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/attention.h"
#include "kernels/simd/attention_pack.h"
#include "kernels/simd/attention_softmax.h"
#include "kernels/simd/attention_strip.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

// A micro-tile. In registers of sixteen lanes 24 sums, 2 vectors of b and a broadcast take 27 of 32; in registers of eight
// lanes a panel is two of them: 12 sums, 2 vectors of b and a broadcast take 15 of 16.
constexpr int kMicroRows = kRegisters == 32 ? 12 : 6;
constexpr int kMicroPanels = kRegisters == 32 ? 2 : 1;
// Whether the weights of keys are computed between the products of other keys. It takes registers beside the sums.
constexpr bool kWeighsBetween = kRegisters == 32;

// c[r][:] += a[r][step] · b[:][step] for the steps begin .. end-1. Panel i of b starts at b[i]; its rows are `stride`
// apart.
template <int rows, int panels>
inline __attribute__((always_inline)) void accumulate_panels(F32x16 (&c)[rows][panels], const float* a,
                                                             int64_t a_stride, const float* const (&b)[panels],
                                                             int64_t stride, int64_t begin, int64_t end) {
#pragma GCC unroll 2
  for (int64_t step = begin; step < end; ++step) {
    F32x16 columns[panels];
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) columns[i] = load_f32x16(b[i] + step * stride);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const F32x16 factor = broadcast_f32x16(a + r * a_stride + step);
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) c[r][i] = fma(factor, columns[i], c[r][i]);
    }
  }
}

// Computes the scores of `rows` queries (packed, dim apart) with some panels of 16 keys, and updates the rows' maxima.
template <int rows, int panels>
void score_panels(int64_t dim, const float* q, const float* const* k_panels, float* scores, float* maxima) {
  F32x16 c[rows][panels];
  const float* k[panels];
#pragma GCC unroll 2
  for (int i = 0; i < panels; ++i) k[i] = k_panels[i];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = f32x16(0);
  }
  accumulate_panels<rows, panels>(c, q, dim, k, kPanel, 0, dim);
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) store_aligned_f32x16(scores + r * kAttentionKeyBlock + i * kPanel, c[r][i]);
    F32x16 maximum = load_aligned_f32x16(maxima + r * kPanel);
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) maximum = max(c[r][i], maximum);
    store_aligned_f32x16(maxima + r * kPanel, maximum);
  }
}

template <int row, int rows, int panels>
inline __attribute__((always_inline)) void accumulate_row(F32x16 (&c)[rows][panels], const float* a,
                                                          const F32x16 (&columns)[panels]) {
  if constexpr (row < rows) {
    const F32x16 factor = broadcast_f32x16(a + row * kAttentionKeyBlock);
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[row][i] = fma(factor, columns[i], c[row][i]);
  }
}

// Completes the chains of rows if each row sees at least as many keys as the one before, as under a causal limit.
template <int rows, int panels>
inline __attribute__((always_inline)) void accumulate_ascending(F32x16 (&c)[rows][panels], const int32_t* keys,
                                                                const float* weights, const float* const (&b)[panels],
                                                                int64_t stride) {
  static_assert(rows <= 12, "the switch below has a case for each row");
  int first = 0;
  for (int64_t key = keys[0]; key < keys[rows - 1]; ++key) {
    while (keys[first] <= key) ++first;
    F32x16 columns[panels];
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) columns[i] = load_f32x16(b[i] + key * stride);
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
inline __attribute__((always_inline)) void accumulate_ragged(F32x16 (&c)[rows][panels], const int32_t* keys,
                                                             const float* weights, const float* const (&b)[panels],
                                                             int64_t stride, int64_t common) {
  bool ascending = true;
  for (int r = 1; r < rows; ++r) ascending &= keys[r - 1] <= keys[r];
  if (ascending) return accumulate_ascending(c, keys, weights, b, stride);
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    F32x16 rest[1][panels];
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) rest[0][i] = c[r][i];
    accumulate_panels<1, panels>(rest, weights + r * kAttentionKeyBlock, 0, b, stride, common, keys[r]);
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = rest[0][i];
  }
}

// With a single key block the sums times the row's factor are its output; parts are stored as they are; else they are
// merged into its total: total = total · keep + sums · take, and a row that sees no key stays as it is.
template <int rows, int panels>
inline __attribute__((always_inline)) void store_outputs(const F32x16 (&c)[rows][panels], const Strip& strip, int64_t row,
                                                         int64_t panel) {
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    float* to = strip.to[row + r] + panel * kPanel;
    if (strip.outputs == Outputs::parts) {
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) store_f32x16(to + i * kPanel, c[r][i]);
      continue;
    }
    const F32x16 takes = f32x16(strip.take[row + r]);
    if (strip.outputs == Outputs::whole) {
      // Adding 0 turns -0 into 0, as merging with an empty total would. A factor of 0 means that the row has no weights:
      // then the output is 0 whatever the sums are.
      const auto none = compare_equal(takes, f32x16(0));
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) {
        store_f32x16(to + i * kPanel, and_not(none, mul(add(c[r][i], f32x16(0)), takes)));
      }
    } else if (strip.keys[row + r] > 0) {
      const F32x16 keeps = f32x16(strip.keep[row + r]);
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) {
        const F32x16 kept = mul(load_f32x16(to + i * kPanel), keeps);
        store_f32x16(to + i * kPanel, fma(c[r][i], takes, kept));
      }
    }
  }
}

// For `rows` rows of the strip and some panels of columns from panel `panel` on: sums weights[r][j] · v[j][:] over the
// row's keys, and stores or merges the sums. The keys that all rows see are summed for all rows together.
template <int rows, int panels>
void output_panels(const Strip& strip, int64_t row, int64_t panel) {
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
  F32x16 c[rows][panels];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = f32x16(0);
  }
  const int64_t stride = strip.values.row_stride;
  accumulate_panels<rows, panels>(c, weights, kAttentionKeyBlock, columns, stride, 0, common);
  if (ragged) accumulate_ragged(c, keys, weights, columns, stride, common);
  store_outputs(c, strip, row, panel);
}

// Replaces the scores of sixteen keys of a row by their weights, and returns these.
inline __attribute__((always_inline)) F32x16 weigh_keys(float* scores, float base, const Exp2Constants& constants) {
  const F32x16 weights = exp2_lanes(sub(load_aligned_f32x16(scores), f32x16(base)), constants);
  store_aligned_f32x16(scores, weights);
  return weights;
}

inline __attribute__((always_inline)) void add_weights(float* sums, F32x16 weights) {
  store_aligned_f32x16(sums, add(load_aligned_f32x16(sums), weights));
}

// Computes the weights of a strip of `rows` rows, their sums, and the outputs of the first columns. While the FMA units
// sum the products of sixteen keys, the other units compute the weights of the next sixteen.
template <int rows, int panels>
void weigh_panels(Strip& strip) {
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
  F32x16 c[rows][panels];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int i = 0; i < panels; ++i) c[r][i] = f32x16(0);
  }
  const Exp2Constants* constants = &kExp2Constants;
  for (int r = 0; r < rows; ++r) {
    store_aligned_f32x16(sums + r * kPanel, weigh_keys(weights + r * kAttentionKeyBlock, bases[r], *constants));
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
  for (int r = 0; r < rows; ++r) strip.block_sum[r] = sum_lanes(load_aligned_f32x16(sums + r * kPanel));
  if (strip.outputs == Outputs::whole) single_factors(strip.block_sum, rows, strip.take);
  store_outputs(c, strip, 0, 0);
}

// Micro-kernels, indexed by panels - 1 and rows.
template <typename Kernel>
struct Kernels {
  Kernel of[2][kMicroRows + 1];
};
template <int... rows>
constexpr Kernels<decltype(&score_panels<1, 1>)> kernels_of_scores(std::integer_sequence<int, rows...>) {
  return {{{nullptr, score_panels<rows + 1, 1>...}, {nullptr, score_panels<rows + 1, kMicroPanels>...}}};
}
template <int... rows>
constexpr Kernels<decltype(&output_panels<1, 1>)> kernels_of_outputs(std::integer_sequence<int, rows...>) {
  return {{{nullptr, output_panels<rows + 1, 1>...}, {nullptr, output_panels<rows + 1, kMicroPanels>...}}};
}

inline void micro_scores(int64_t rows, int64_t panels, int64_t dim, const float* q, const float* const* k_panels,
                         float* scores, float* maxima) {
  static constexpr auto kKernels = kernels_of_scores(std::make_integer_sequence<int, kMicroRows>());
  kKernels.of[panels - 1][rows](dim, q, k_panels, scores, maxima);
}

inline void micro_outputs(const Strip& strip, int64_t row, int64_t rows, int64_t panel, int64_t panels) {
  static constexpr auto kKernels = kernels_of_outputs(std::make_integer_sequence<int, kMicroRows>());
  kKernels.of[panels - 1][rows](strip, row, panel);
}

// Computes weights, their sums, and the outputs of the first columns together; returns false if it cannot.
inline bool weigh(Strip& strip, int64_t panels) {
  if constexpr (kWeighsBetween) {
    switch (strip.rows) {
      case 4: panels == 2 ? weigh_panels<4, 2>(strip) : weigh_panels<4, 1>(strip); return true;
      case 8: panels == 2 ? weigh_panels<8, 2>(strip) : weigh_panels<8, 1>(strip); return true;
      case 12: panels == 2 ? weigh_panels<12, 2>(strip) : weigh_panels<12, 1>(strip); return true;
      default: return false;
    }
  }
  return false;
}

// to[i] = from[i] · factor.
inline void multiply(const float* from, int64_t count, float factor, float* to) {
  const Floats factors = splat<Floats>(factor);
  int64_t i = 0;
  for (; i + kFloats <= count; i += kFloats) store_vector(to + i, mul(load_vector<Floats>(from + i), factors));
  for (; i < count; ++i) to[i] = from[i] * factor;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
