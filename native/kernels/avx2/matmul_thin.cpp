// The thin path of matmul: one operand has few rows (the thin one, at most kThinMax), the other is read once, in
// place, at the speed of memory. With few rows of A the wide operand is B; with few columns of B (mirrored) it is A,
// and rows and columns change their roles, which an FMA does not notice.
#include "kernels/avx2/matmul_thin.h"

#include <algorithm>

#include "kernels/avx2/matmul_epilogue.h"
#include "kernels/avx2/matmul_vector.h"

namespace tesserae::matmul {
namespace {

// The rows of sums lie a little more than a strip apart, or all of them would fall into the same set of L1.
constexpr int64_t kSumsStride = kThinStrip + 16;

// Sums of T thin rows with a strip of the wide operand: sums[i · kSumsStride + j] += x[p · T + i] · w[p, j] over p.
// The row of sums is a whole number of vectors; lanes behind `columns` hold what does not matter.
template <typename Element>
struct Strip {
  const Element* w;  // w[p, j] at w + p · stride_k + j · stride_j
  int64_t stride_k;
  int64_t stride_j;
  int64_t k;
  int64_t columns;
  const float* x;
  float* sums;
};

// Vectors along j, Steps rows of w at a time: their runs are long, so that the prefetchers follow them, and each
// vector of sums is loaded and stored once for Steps FMAs.
template <int T, int Steps, int Vectors, typename Load>
inline void rows_step(const float* x, float* sums, Load load) {
  __m256 w[Steps][Vectors];
#pragma GCC unroll 8
  for (int q = 0; q < Steps; ++q) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) w[q][v] = load(q, v);
  }
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
    __m256 sum[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sum[v] = _mm256_loadu_ps(sums + i * kSumsStride + v * 8);
#pragma GCC unroll 8
    for (int q = 0; q < Steps; ++q) {
      const __m256 factor = _mm256_broadcast_ss(x + q * T + i);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[v] = _mm256_fmadd_ps(factor, w[q][v], sum[v]);
    }
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) _mm256_storeu_ps(sums + i * kSumsStride + v * 8, sum[v]);
  }
}

// Rows are prefetched so many steps ahead: 48 KiB in a strip of full width, more than L1 holds, which L2 makes good.
constexpr int kStepsAhead = 3;

template <int T, int Steps, typename Element>
inline void rows_of_k(const Strip<Element>& s, int64_t p) {
  const Element* w = s.w + p * s.stride_k;
  const float* x = s.x + p * T;
  int64_t j = 0;
  for (; j + 16 <= s.columns; j += 16) {
    for (int q = 0; q < Steps; ++q) {
      const Element* ahead = w + (kStepsAhead * Steps + q) * s.stride_k + j;
      _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T0);
    }
    rows_step<T, Steps, 2>(x, s.sums + j, [&](int q, int v) { return load8(w + q * s.stride_k + j + v * 8); });
  }
  for (; j + 8 <= s.columns; j += 8) {
    rows_step<T, Steps, 1>(x, s.sums + j, [&](int q, int) { return load8(w + q * s.stride_k + j); });
  }
  if (j < s.columns) {
    const int64_t rest = s.columns - j;
    rows_step<T, Steps, 1>(x, s.sums + j, [&](int q, int) { return load_first(w + q * s.stride_k + j, rest); });
  }
}

template <int T, typename Element>
void sum_rows(const Strip<Element>& s) {
  constexpr int kSteps = 4;
  int64_t p = 0;
  for (; p + kSteps <= s.k; p += kSteps) rows_of_k<T, kSteps>(s, p);
  for (; p < s.k; ++p) rows_of_k<T, 1>(s, p);
}

// Eight columns that are all there, the same with prefetching of those to come, or the last few.
enum class Columns { whole, whole_prefetching, last };

// k is contiguous (weights stored [n, k]): Groups × 8 columns at a time, 8 × 8 transposes in registers.
template <int T, int Groups, Columns Kind, typename Element>
inline void columns_group(const Strip<Element>& s, int64_t j) {
  const Element* first = s.w + j * s.stride_j;
  const Element* column[8];
  if (Kind == Columns::last) {  // columns that are missing repeat the last one
    for (int64_t r = 0; r < 8; ++r) column[r] = first + std::min(r, s.columns - j - 1) * s.stride_j;
  }
  const auto at = [&](int group, int r) __attribute__((always_inline)) {
    return Kind == Columns::last ? column[r] : first + (group * 8 + r) * s.stride_j;
  };
  float* sums = s.sums + j;
  __m256 sum[T][Groups];
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) sum[i][g] = _mm256_loadu_ps(sums + i * kSumsStride + g * 8);
  }
  const auto add = [&](int64_t at_k, __m256 w, int g) __attribute__((always_inline)) {
    const float* x = s.x + at_k * T;
#pragma GCC unroll 8
    for (int i = 0; i < T; ++i) sum[i][g] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + i), w, sum[i][g]);
  };
  // A vector's worth of k in 8 columns.
  constexpr int64_t kStep = 32 / static_cast<int64_t>(sizeof(Element));
  const auto square = [&](int64_t p, int g) __attribute__((always_inline)) {
    if constexpr (sizeof(Element) == 2) {
      __m256i w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at(g, r) + p));
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add(p + q, widen<Element>(_mm256_castsi256_si128(w[q])), g);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add(p + 8 + q, widen<Element>(_mm256_extracti128_si256(w[q], 1)), g);
    } else {
      __m256 w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = load8(at(g, r) + p);
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add(p + q, w[q], g);
    }
  };
  int64_t p = 0;
  // Whole cache lines, for columns a power of two apart fall into one set of L1 and push each other out. For elements
  // of 16 bits it does not pay: their squares are twice as long, and wait for the multipliers.
  constexpr int kSquares = sizeof(Element) == 2 ? 1 : 2;
  for (; p + kSquares * kStep <= s.k; p += kSquares * kStep) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      if (Kind == Columns::whole_prefetching) {
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
          const Element* next = at(g, r) + Groups * 8 * s.stride_j + p;
          _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T0);
        }
      }
#pragma GCC unroll 2
      for (int square_in_line = 0; square_in_line < kSquares; ++square_in_line) square(p + square_in_line * kStep, g);
    }
  }
  for (; p + 8 <= s.k; p += 8) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      __m256 w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = load8(at(g, r) + p);
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add(p + q, w[q], g);
    }
  }
  if (p < s.k) {
    for (int g = 0; g < Groups; ++g) {
      __m256 w[8];
      for (int r = 0; r < 8; ++r) w[r] = load_first(at(g, r) + p, s.k - p);
      transpose8(w);
      for (int64_t q = 0; q < s.k - p; ++q) add(p + q, w[q], g);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) _mm256_storeu_ps(sums + i * kSumsStride + g * 8, sum[i][g]);
  }
}

// Columns shorter than this lie so close together that a group of them is one run of memory, which the hardware, seeing
// a stream for each column, prefetches badly.
constexpr int64_t kShortColumnBytes = 3072;

template <int T, typename Element>
void sum_columns(const Strip<Element>& s) {
  constexpr int kGroups = T == 1 ? 2 : 1;
  int64_t j = 0;
  if (s.stride_j * static_cast<int64_t>(sizeof(Element)) <= kShortColumnBytes) {
    for (; j + kGroups * 8 <= s.columns; j += kGroups * 8) columns_group<T, kGroups, Columns::whole_prefetching>(s, j);
  }
  for (; j + kGroups * 8 <= s.columns; j += kGroups * 8) columns_group<T, kGroups, Columns::whole>(s, j);
  for (; j + 8 <= s.columns; j += 8) columns_group<T, 1, Columns::whole>(s, j);
  if (j < s.columns) columns_group<T, 1, Columns::last>(s, j);
}

// Any strides: gathers element by element.
template <int T, typename Element>
void sum_strided(const Strip<Element>& s) {
  for (int64_t j = 0; j < s.columns; j += 8) {
    for (int64_t p = 0; p < s.k; ++p) {
      const __m256 w = load_strided(s.w + p * s.stride_k + j * s.stride_j, s.stride_j, s.columns - j);
      rows_step<T, 1, 1>(s.x + p * T, s.sums + j, [&](int, int) { return w; });
    }
  }
}

template <int T, typename Element>
void sum_strip(const Strip<Element>& s) {
  if (s.stride_j == 1) sum_rows<T>(s);
  else if (s.stride_k == 1) sum_columns<T>(s);
  else sum_strided<T>(s);
}

template <typename Element>
using SumStrip = void (*)(const Strip<Element>& strip);

template <typename Element>
constexpr SumStrip<Element> kSumStrip[kThinMax + 1] = {nullptr,
                                                       sum_strip<1, Element>,
                                                       sum_strip<2, Element>,
                                                       sum_strip<3, Element>,
                                                       sum_strip<4, Element>,
                                                       sum_strip<5, Element>,
                                                       sum_strip<6, Element>,
                                                       sum_strip<7, Element>,
                                                       sum_strip<8, Element>};

template <typename Element>
struct ThinOperand {
  const Element* data;  // element (p, i) at data + p · stride_k + i · stride_i
  int64_t stride_k;
  int64_t stride_i;
};

template <typename Thin, typename Wide>
void thin_tile(const ThinOperand<Thin>& thin, int64_t thin_count, Strip<Wide> strip, int64_t k, int64_t wide_count,
               const Epilogue& epilogue, int64_t first_row, int64_t first_column, bool mirrored, float* scratch) {
  float* sums = scratch;
  float* x = sums + kThinMax * kSumsStride;
  const Wide* w = strip.w;
  strip.sums = sums;
  strip.x = x;
  // Loop over strips of the wide operand, as many accumulators as L1 holds.
  const int64_t step = std::min(kThinStrip, kThinSums / thin_count / 16 * 16);
  for (int64_t j = 0; j < wide_count; j += step) {
    strip.columns = std::min(wide_count - j, step);
    std::fill(sums, sums + thin_count * kSumsStride, 0.0f);
    // Loop over blocks of k, in each the thin operand stays in L1 or L2.
    for (int64_t first_k = 0; first_k < k; first_k += kThinKc) {
      strip.k = std::min(k - first_k, kThinKc);
      strip.w = w + j * strip.stride_j + first_k * strip.stride_k;
      for (int64_t p = 0; p < strip.k; ++p) {
        for (int64_t i = 0; i < thin_count; ++i) {
          x[p * thin_count + i] = load1(thin.data + (first_k + p) * thin.stride_k + i * thin.stride_i);
        }
      }
      kSumStrip<Wide>[thin_count](strip);
    }
    if (!mirrored) {
      for (int64_t i = 0; i < thin_count; ++i) {
        epilogue.row(sums + i * kSumsStride, first_row + i, first_column + j, strip.columns);
      }
    } else {
      for (int64_t r = 0; r < strip.columns; ++r) {
        float row[kThinMax] = {};
        for (int64_t i = 0; i < thin_count; ++i) row[i] = sums[i * kSumsStride + r];
        epilogue.row(row, first_row + j + r, first_column, thin_count);
      }
    }
  }
}

// The tile with B's elements of type Element.
template <typename Element>
void thin_tile_of(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const Epilogue epilogue(p, x);
  const int64_t rows = tile.last_row - tile.first_row;
  const int64_t columns = tile.last_column - tile.first_column;
  const float* a = x.a + tile.first_row * p.a_rs;
  const Element* b = static_cast<const Element*>(x.b) + tile.first_column * p.b_cs;
  if (p.m <= kThinMax) {
    const Strip<Element> wide = {b, p.b_rs, p.b_cs, 0, 0, nullptr, nullptr};
    thin_tile(ThinOperand<float>{a, p.a_cs, p.a_rs}, rows, wide, p.k, columns, epilogue, tile.first_row,
              tile.first_column, false, scratch);
  } else {
    const Strip<float> wide = {a, p.a_cs, p.a_rs, 0, 0, nullptr, nullptr};
    thin_tile(ThinOperand<Element>{b, p.b_rs, p.b_cs}, columns, wide, p.k, rows, epilogue, tile.first_row,
              tile.first_column, true, scratch);
  }
}

}  // namespace

void thin_tile_avx2(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const auto dtype = static_cast<DType>(p.b_dtype);
  if (dtype == DType::f16) thin_tile_of<Half>(p, x, tile, scratch);
  else if (dtype == DType::bf16) thin_tile_of<Bfloat>(p, x, tile, scratch);
  else thin_tile_of<float>(p, x, tile, scratch);
}

}  // namespace tesserae::matmul
