// The thin path of matmul with eight lanes: sums along the rows of the wide operand, and along its columns by transposes in
// registers. The loops around it are in matmul_thin_loops.h.
#include "kernels/simd/matmul_thin.h"

#include "kernels/simd/matmul_thin_loops.h"

namespace tesserae::matmul {
namespace {

// Eight whole columns; eight whole columns with prefetching of the next group; or the last, fewer than eight.
enum class Columns { whole, whole_prefetching, last };

// Adds Groups × 8 columns whose k is contiguous (weights stored [n, k]), by 8 × 8 transposes in registers.
template <int T, int Groups, Columns Kind, typename Element>
inline void columns_group(const Strip<Element>& s, int64_t j) {
  const Element* first = s.w + j * s.stride_j;
  const Element* column[8];
  if (Kind == Columns::last) {  // missing columns repeat the last one
    for (int64_t r = 0; r < 8; ++r) column[r] = first + std::min(r, s.columns - j - 1) * s.stride_j;
  }
  const auto at = [&](int group, int r) __attribute__((always_inline)) {
    return Kind == Columns::last ? column[r] : first + (group * 8 + r) * s.stride_j;
  };
  float* sums = s.sums + j;
  F32x8 sum[T][Groups];
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) sum[i][g] = load_f32x8(sums + i * kSumsStride + g * 8);
  }
  const auto add_step = [&](int64_t at_k, F32x8 w, int g) __attribute__((always_inline)) {
    const float* x = s.x + at_k * T;
#pragma GCC unroll 8
    for (int i = 0; i < T; ++i) sum[i][g] = fma(broadcast_f32x8(x + i), w, sum[i][g]);
  };
  // Adds kStep steps of k (one vector of each of 8 columns).
  constexpr int64_t kStep = 32 / static_cast<int64_t>(sizeof(Element));
  const auto square = [&](int64_t p, int g) __attribute__((always_inline)) {
    if constexpr (sizeof(Element) == 2) {
      Bits256 w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = load_bits256(at(g, r) + p);
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add_step(p + q, widen<Element>(low_half(w[q])), g);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add_step(p + 8 + q, widen<Element>(high_half(w[q])), g);
    } else {
      F32x8 w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = load8(at(g, r) + p);
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add_step(p + q, w[q], g);
    }
  };
  int64_t p = 0;
  // f32: whole cache lines of each column at a time, since columns a power of two apart map to one set of L1 and evict
  // each other. No win for elements of 16 bits: their squares are twice as long, and wait for the multipliers.
  constexpr int kSquares = sizeof(Element) == 2 ? 1 : 2;
  for (; p + kSquares * kStep <= s.k; p += kSquares * kStep) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      if (Kind == Columns::whole_prefetching) {
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
          const Element* next = at(g, r) + Groups * 8 * s.stride_j + p;
          prefetch(next);
        }
      }
#pragma GCC unroll 2
      for (int square_in_line = 0; square_in_line < kSquares; ++square_in_line) square(p + square_in_line * kStep, g);
    }
  }
  for (; p + 8 <= s.k; p += 8) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      F32x8 w[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) w[r] = load8(at(g, r) + p);
      transpose8(w);
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) add_step(p + q, w[q], g);
    }
  }
  if (p < s.k) {
    for (int g = 0; g < Groups; ++g) {
      F32x8 w[8];
      for (int r = 0; r < 8; ++r) w[r] = load_first(at(g, r) + p, s.k - p);
      transpose8(w);
      for (int64_t q = 0; q < s.k - p; ++q) add_step(p + q, w[q], g);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) store_f32x8(sums + i * kSumsStride + g * 8, sum[i][g]);
  }
}

// A group of columns shorter than this is one short run of memory. The hardware prefetchers, which see one stream for
// each column, do badly there, so the next group is prefetched.
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

struct Sums8 {
  template <int T, typename Element>
  static void columns(const Strip<Element>& s) {
    sum_columns<T>(s);
  }
  template <typename Element>
  static void many_by_rows(const ManyRows<Element>& s);
  template <typename Element>
  static void many_by_columns(const ManyRows<Element>& s);
  static void add_square(const float* square, int64_t steps, int64_t rows, const float* x, float* sums);
};

// Adds Steps rows of w (16 columns), which stay in registers, to the sums of all thin rows: each vector of sums is
// loaded and stored once for Steps FMAs. Rows of w are read as long runs, which the hardware prefetchers follow.
template <int Steps, typename Load>
inline __attribute__((always_inline)) void rows_step(int64_t rows, const float* x, float* sums, Load load) {
  F32x8 w[Steps][2];
#pragma GCC unroll 4
  for (int q = 0; q < Steps; ++q) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) w[q][v] = load(q, v);
  }
  for (int64_t i = 0; i < rows; ++i, x += kManySteps, sums += kManyColumns) {
    F32x8 sum[2];
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) sum[v] = load_f32x8(sums + v * 8);
#pragma GCC unroll 4
    for (int q = 0; q < Steps; ++q) {
      const F32x8 factor = broadcast_f32x8(x + q);
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) sum[v] = fma(factor, w[q][v], sum[v]);
    }
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) store_f32x8(sums + v * 8, sum[v]);
  }
}

// Rows of w are prefetched kStepsAhead · Steps rows ahead.
constexpr int kStepsAhead = 3;

template <int Steps, typename Element>
inline void rows_of_k(const ManyRows<Element>& s, int64_t p) {
  const Element* w = s.w.at(p, 0).data;
  const int64_t stride = s.w.stride_k;
  const float* x = s.x + p / kManySteps * kManySteps * s.rows + p % kManySteps;
  int64_t j = 0;
  for (; j + 16 <= s.columns; j += 16) {
    for (int q = 0; q < Steps; ++q) {
      const Element* ahead = w + (kStepsAhead * Steps + q) * stride + j;
      prefetch(ahead);
    }
    rows_step<Steps>(s.rows, x, s.sums + j * s.rows, [&](int q, int v) { return load8(w + q * stride + j + v * 8); });
  }
  if (j < s.columns) {
    rows_step<Steps>(s.rows, x, s.sums + j * s.rows, [&](int q, int v) {
      const int64_t rest = s.columns - j - v * 8;
      const Element* from = w + q * stride + j + v * 8;
      return rest >= 8 ? load8(from) : rest > 0 ? load_first(from, rest) : f32x8(0);
    });
  }
}

template <typename Element>
void Sums8::many_by_rows(const ManyRows<Element>& s) {
  constexpr int kSteps = 4;
  int64_t p = 0;
  for (; p + kSteps <= s.k; p += kSteps) rows_of_k<kSteps>(s, p);
  for (; p < s.k; ++p) rows_of_k<1>(s, p);
}

// Along columns this is no faster than packing, so src/ops/matmul/matmul-tiles.ts never chooses it (thin_across is 8).
template <typename Element>
void Sums8::many_by_columns(const ManyRows<Element>& s) {
  for (int64_t j = 0; j < s.columns; j += kManyColumns) {
    many_by_elements<Sums8>(s, j, std::min(s.columns - j, kManyColumns), 0);
  }
}

void Sums8::add_square(const float* square, int64_t steps, int64_t rows, const float* x, float* sums) {
  for (int64_t i = 0; i < rows; ++i, sums += kManyColumns) {
    F32x8 low = load_f32x8(sums);
    F32x8 high = load_f32x8(sums + 8);
    for (int64_t q = 0; q < steps; ++q) {
      const F32x8 factor = broadcast_f32x8(x + q * rows + i);
      low = fma(factor, load_aligned_f32x8(square + q * kManyColumns), low);
      high = fma(factor, load_aligned_f32x8(square + q * kManyColumns + 8), high);
    }
    store_f32x8(sums, low);
    store_f32x8(sums + 8, high);
  }
}

}  // namespace

inline namespace TESSERAE_ISA {

void compute_thin_tile(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  thin_tile_with<Sums8>(p, x, tile, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
