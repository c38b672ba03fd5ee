// The loops of matmul's thin path: one operand has few rows (the thin one, at most kThinMax), the other is read once, in
// place, at the speed of memory. With few rows of A the wide operand is B; with few columns of B (mirrored) it is A,
// and rows and columns change their roles, which an FMA does not notice. What an instruction set brings is its sums.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/avx2/matmul_epilogue.h"
#include "kernels/avx2/matmul_vector.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

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

// Any strides: gathers element by element.
template <int T, typename Element>
void sum_strided(const Strip<Element>& s) {
  for (int64_t j = 0; j < s.columns; j += 8) {
    __m256 sum[T];
    for (int i = 0; i < T; ++i) sum[i] = _mm256_loadu_ps(s.sums + i * kSumsStride + j);
    for (int64_t p = 0; p < s.k; ++p) {
      const __m256 w = load_strided(s.w + p * s.stride_k + j * s.stride_j, s.stride_j, s.columns - j);
      for (int i = 0; i < T; ++i) sum[i] = _mm256_fmadd_ps(_mm256_broadcast_ss(s.x + p * T + i), w, sum[i]);
    }
    for (int i = 0; i < T; ++i) _mm256_storeu_ps(s.sums + i * kSumsStride + j, sum[i]);
  }
}

// Sums has rows<T>(strip) for a wide operand whose rows are contiguous, and columns<T>(strip) for one whose k is.
template <typename Sums, int T, typename Element>
void sum_strip(const Strip<Element>& s) {
  if (s.stride_j == 1) Sums::template rows<T>(s);
  else if (s.stride_k == 1) Sums::template columns<T>(s);
  else sum_strided<T>(s);
}

template <typename Element>
struct SumStrips {
  void (*of[kThinMax + 1])(const Strip<Element>& strip);
};
template <typename Sums, typename Element, int... T>
constexpr SumStrips<Element> sum_strips(std::integer_sequence<int, T...>) {
  return {{nullptr, sum_strip<Sums, T + 1, Element>...}};
}
template <typename Sums, typename Element>
constexpr SumStrips<Element> kSumStrip = sum_strips<Sums, Element>(std::make_integer_sequence<int, kThinMax>());

template <typename Element>
struct ThinOperand {
  const Element* data;  // element (p, i) at data + p · stride_k + i · stride_i
  int64_t stride_k;
  int64_t stride_i;
};

template <typename Sums, typename Thin, typename Wide>
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
      kSumStrip<Sums, Wide>.of[thin_count](strip);
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
template <typename Sums, typename Element>
void thin_tile_of(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const Epilogue epilogue(p, x);
  const int64_t rows = tile.last_row - tile.first_row;
  const int64_t columns = tile.last_column - tile.first_column;
  const float* a = x.a + tile.first_row * p.a_rs;
  const Element* b = static_cast<const Element*>(x.b) + tile.first_column * p.b_cs;
  if (p.m <= kThinMax) {
    const Strip<Element> wide = {b, p.b_rs, p.b_cs, 0, 0, nullptr, nullptr};
    thin_tile<Sums>(ThinOperand<float>{a, p.a_cs, p.a_rs}, rows, wide, p.k, columns, epilogue, tile.first_row,
              tile.first_column, false, scratch);
  } else {
    const Strip<float> wide = {a, p.a_cs, p.a_rs, 0, 0, nullptr, nullptr};
    thin_tile<Sums>(ThinOperand<Element>{b, p.b_rs, p.b_cs}, columns, wide, p.k, rows, epilogue, tile.first_row,
              tile.first_column, true, scratch);
  }
}

template <typename Sums>
void thin_tile_with(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const auto dtype = static_cast<DType>(p.b_dtype);
  if (dtype == DType::f16) thin_tile_of<Sums, Half>(p, x, tile, scratch);
  else if (dtype == DType::bf16) thin_tile_of<Sums, Bfloat>(p, x, tile, scratch);
  else thin_tile_of<Sums, float>(p, x, tile, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
