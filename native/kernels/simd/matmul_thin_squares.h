// The thin path along columns of the wide operand whose k is contiguous, with more than kThinFew rows of the thin one:
// squares of sixteen columns are transposed in registers, and all thin rows pass by. For registers of sixteen lanes. Included
// by matmul_thin_many.h.
#pragma once

#include <utility>

#include "kernels/simd/matmul_thin_columns.h"
#include "kernels/simd/matmul_thin_rows.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Whether a line of each of sixteen columns is prefetched: near into L1, far into L2. Only during the last part of the
// rows, in the second half of the steps: earlier, the lines that are needed now would wait for the prefetched ones.
enum class Prefetch { none, near, far };

// Adds sixteen steps of k to the sums of Rows rows, which are Rows independent chains. Steps of x are `stride` apart.
template <int Rows, Prefetch Ahead>
TESSERAE_INLINE void add_square_to(const F32x16 (&w)[16], const float* x, int64_t stride, float* sums, const char* line,
                                   int64_t line_stride_bytes) {
  F32x16 sum[Rows];
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i) sum[i] = load_f32x16(sums + i * kManyColumns);
#pragma GCC unroll 16
  for (int q = 0; q < 16; ++q) {
    if (Ahead != Prefetch::none && q >= 8) {
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i, line += line_stride_bytes) {
        if (Ahead == Prefetch::far) prefetch_far(line);
        else prefetch(line);
      }
    }
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) fma_in_place(sum[i], x + i, w[q]);
    x += stride;
  }
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i) store_f32x16(sums + i * kManyColumns, sum[i]);
}

// Splits the rows into parts of Rows or Rows + 1, at most twelve: as many sums as there are registers beside the
// square.
constexpr int kMostChains = 12;
constexpr int kFewestChains = kMostChains / 2;
static_assert(kThinFew >= kFewestChains);
template <int Rows, Prefetch Ahead>
TESSERAE_INLINE void add_square_to_all(const F32x16 (&w)[16], int64_t rows, const float* x, float* sums, const char* line,
                                       int64_t line_stride_bytes) {
  int64_t i = 0;
  if constexpr (Rows < kMostChains) {
    for (int64_t longer = rows % Rows; longer > 0; --longer, i += Rows + 1) {
      add_square_to<Rows + 1, Prefetch::none>(w, x + i, rows, sums + i * kManyColumns, nullptr, 0);
    }
  }
  for (; i + Rows < rows; i += Rows) {
    add_square_to<Rows, Prefetch::none>(w, x + i, rows, sums + i * kManyColumns, nullptr, 0);
  }
  add_square_to<Rows, Ahead>(w, x + i, rows, sums + i * kManyColumns, line, line_stride_bytes);
}

// Sixteen columns whose distance in bytes is a multiple of this map to one set of L1, which cannot hold them.
constexpr int64_t kSetBytes = 4096;

template <int Rows, Prefetch Ahead, typename Element>
void many_columns_of(const ManyRows<Element>& s, int64_t j) {
  using Square = ColumnSquare<Element>;
  const int64_t stride_bytes = s.w.stride_i * static_cast<int64_t>(sizeof(Element));
  constexpr int64_t kAhead = (Ahead == Prefetch::far ? 2 : 1) * kLinesAhead * Square::kSteps;
  float* sums = s.sums + j * s.rows;
  const float* x = s.x;
  int64_t p = 0;
  for (; p + Square::kSteps <= s.k; p += Square::kSteps, x += Square::kSteps * s.rows) {
    int64_t step = p + kAhead;
    if (step >= s.k) step += 16 * s.w.stride_i - s.k;  // in the next group of columns
    const auto* line = reinterpret_cast<const char*>(s.w.at(step, j).data);
    Square square;
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) square.load(r, s.w.at(p, j + r).data);
    square.transpose();
    F32x16 w[16];
    const auto take = [&](auto first) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int q = 0; q < 16; ++q) w[q] = square.step(first + q);
    };
    take(std::integral_constant<int, 0>());
    add_square_to_all<Rows, Ahead>(w, s.rows, x, sums, line, stride_bytes);
    if constexpr (Square::kSteps > 16) {
      take(std::integral_constant<int, 16>());
      add_square_to_all<Rows, Prefetch::none>(w, s.rows, x + 16 * s.rows, sums, nullptr, 0);
    }
  }
  if (p < s.k) many_by_elements(s, j, 16, p);
}

template <int Rows, typename Element>
void many_columns(const ManyRows<Element>& s) {
  int64_t j = 0;
  if constexpr (sizeof(Element) == 4) {
    const bool is_far = s.w.stride_i * static_cast<int64_t>(sizeof(Element)) % kSetBytes == 0;
    for (; is_far && j + 16 <= s.columns; j += 16) many_columns_of<Rows, Prefetch::far>(s, j);
  }
  for (; j + 16 <= s.columns; j += 16) many_columns_of<Rows, Prefetch::near>(s, j);
  if (j < s.columns) many_by_elements(s, j, s.columns - j, 0);
}

template <typename Element>
struct ManyColumns {
  void (*of[kMostChains - kFewestChains + 1])(const ManyRows<Element>& s);
};
template <typename Element, int... Rows>
constexpr ManyColumns<Element> many_columns_by_rows(std::integer_sequence<int, Rows...>) {
  return {{many_columns<kFewestChains + Rows, Element>...}};
}

template <typename Element>
void many_by_squares(const ManyRows<Element>& s) {
  static constexpr auto kByRows =
      many_columns_by_rows<Element>(std::make_integer_sequence<int, kMostChains - kFewestChains + 1>());
  const int64_t parts = (s.rows + kMostChains - 1) / kMostChains;
  kByRows.of[s.rows / parts - kFewestChains](s);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
