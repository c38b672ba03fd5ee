// The thin path of matmul with AVX-512: sums along the rows of the wide operand, and along its columns by transposes of
// sixteen columns in registers. The sums are the same chains as with AVX2. The loops around it are in
// simd/matmul_thin_loops.h.
#include "kernels/simd/matmul_thin.h"

#include "kernels/simd/column_square.h"
#include "kernels/simd/matmul_thin_loops.h"

namespace tesserae::matmul {
namespace {

// Distance of the prefetches along a column, in cache lines. Near the end of a column the next group's columns are
// prefetched.
constexpr int64_t kLinesAhead = 8;

// Adds sixteen columns, one cache line of each at a time. If fewer are left, missing columns repeat the last one.
template <int T, bool Whole, typename Element>
void sixteen_columns(const Strip<Element>& s, int64_t j) {
  constexpr int64_t kLine = kCacheLineBytes / static_cast<int64_t>(sizeof(Element));
  constexpr int64_t kSteps = sizeof(Element) == 4 ? 1 : 2;  // steps of k in a 32-bit lane
  const Element* first = s.w + j * s.stride_j;
  const auto column = [&](int64_t r) __attribute__((always_inline)) {
    return first + (Whole ? r : std::min(r, s.columns - j - 1)) * s.stride_j;
  };
  float* sums = s.sums + j;
  __m512 sum[T];
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) sum[i] = _mm512_loadu_ps(sums + i * kSumsStride);
  const auto add = [&](int64_t p, __m512 w) __attribute__((always_inline)) {
    const float* x = s.x + p * T;
#pragma GCC unroll 8
    for (int i = 0; i < T; ++i) sum[i] = _mm512_fmadd_ps(_mm512_set1_ps(x[i]), w, sum[i]);
  };
  const auto add_lane = [&](int64_t p, __m512 lane, int64_t count) __attribute__((always_inline)) {
    if constexpr (sizeof(Element) == 4) {
      add(p, lane);
    } else {
      add(p, element_of_pairs<Element>(lane, false));
      if (count > 1) add(p + 1, element_of_pairs<Element>(lane, true));
    }
  };
  int64_t p = 0;
  for (; p + kLine <= s.k; p += kLine) {
    int64_t ahead = p + kLinesAhead * kLine;
    if (ahead >= s.k) ahead += 16 * s.stride_j - s.k;
    __m512 w[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) {
      const Element* at = column(r);
      if (Whole) _mm_prefetch(reinterpret_cast<const char*>(at + ahead), _MM_HINT_T0);
      w[r] = _mm512_loadu_ps(reinterpret_cast<const float*>(at + p));
    }
    transpose16(w);
#pragma GCC unroll 16
    for (int q = 0; q < 16; ++q) add_lane(p + q * kSteps, w[q], kSteps);
  }
  if (p < s.k) {
    const int64_t rest = s.k - p;
    __m512 w[16];
    for (int r = 0; r < 16; ++r) {
      alignas(64) Element line[kLine] = {};
      std::memcpy(line, column(r) + p, static_cast<size_t>(rest) * sizeof(Element));
      w[r] = _mm512_load_ps(reinterpret_cast<const float*>(line));
    }
    transpose16(w);
    for (int64_t q = 0; q * kSteps < rest; ++q) add_lane(p + q * kSteps, w[q], rest - q * kSteps);
  }
  const __mmask16 mask = Whole ? 0xffff : first_lanes16(s.columns - j);
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) _mm512_mask_storeu_ps(sums + i * kSumsStride, mask, sum[i]);
}

struct SumsAvx512 {
  template <int T, typename Element>
  static void columns(const Strip<Element>& s);
  template <typename Element>
  static void many_by_rows(const ManyRows<Element>& s);
  template <typename Element>
  static void many_by_columns(const ManyRows<Element>& s);
  static void add_square(const float* square, int64_t steps, int64_t rows, const float* x, float* sums);
};

// Rows of w that are added at a time; they are prefetched kRowStepsAhead · kRowSteps rows ahead.
constexpr int kRowSteps = 4;
constexpr int kRowStepsAhead = 3;

// Adds Steps rows of w, which stay in registers, to the sums of all thin rows.
template <int Steps, int Vectors, typename Load>
inline __attribute__((always_inline)) void rows_step(int64_t rows, const float* x, float* sums, Load load) {
  __m512 w[Steps][Vectors];
#pragma GCC unroll 4
  for (int q = 0; q < Steps; ++q) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) w[q][v] = load(q, v);
  }
  const int64_t next = rows * kManyColumns;
  for (int64_t i = 0; i < rows; ++i, x += kManySteps, sums += kManyColumns) {
    __m512 sum[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sum[v] = _mm512_loadu_ps(sums + v * next);
#pragma GCC unroll 4
    for (int q = 0; q < Steps; ++q) {
      const __m512 factor = _mm512_set1_ps(x[q]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[v] = _mm512_fmadd_ps(factor, w[q][v], sum[v]);
    }
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) _mm512_storeu_ps(sums + v * next, sum[v]);
  }
}

template <int Steps, typename Element>
inline void rows_of_k(const ManyRows<Element>& s, int64_t p) {
  const Element* w = s.w.at(p, 0).data;
  const int64_t stride = s.w.stride_k;
  const float* x = s.x + p / kManySteps * kManySteps * s.rows + p % kManySteps;
  int64_t j = 0;
  for (; j + 32 <= s.columns; j += 32) {
#pragma GCC unroll 4
    for (int q = 0; q < Steps; ++q) {
      const auto* ahead = reinterpret_cast<const char*>(w + (kRowStepsAhead * Steps + q) * stride + j);
      _mm_prefetch(ahead, _MM_HINT_T0);
      if (sizeof(Element) == 4) _mm_prefetch(ahead + kCacheLineBytes, _MM_HINT_T0);
    }
    rows_step<Steps, 2>(s.rows, x, s.sums + j * s.rows, [&](int q, int v) __attribute__((always_inline)) {
      return load16(w + q * stride + j + v * 16);
    });
  }
  for (; j < s.columns; j += 16) {
    const int64_t rest = s.columns - j;
    rows_step<Steps, 1>(s.rows, x, s.sums + j * s.rows, [&](int q, int) __attribute__((always_inline)) {
      return rest >= 16 ? load16(w + q * stride + j) : load_first16(w + q * stride + j, rest);
    });
  }
}

// sum += *factor · w as one instruction. The compiler would order the FMAs chain by chain, each waiting for the one
// before.
[[gnu::always_inline]] inline void fma_element(__m512& sum, const float* factor, __m512 w) {
  asm volatile("vfmadd231ps %1%{1to16%}, %2, %0" : "+v"(sum) : "m"(*factor), "v"(w));
}

// Whether a line of each of sixteen columns is prefetched: near into L1, far into L2. Only during the last part of the
// rows, in the second half of the steps: earlier, the lines that are needed now would wait for the prefetched ones.
enum class Prefetch { none, near, far };

// Adds sixteen steps of k to the sums of Rows rows, which are Rows independent chains. Steps of x are `stride` apart.
template <int Rows, Prefetch Ahead>
inline __attribute__((always_inline)) void add_square(const __m512 (&w)[16], const float* x, int64_t stride, float* sums,
                                                      const char* line, int64_t line_stride_bytes) {
  __m512 sum[Rows];
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i) sum[i] = _mm512_loadu_ps(sums + i * kManyColumns);
#pragma GCC unroll 16
  for (int q = 0; q < 16; ++q) {
    if (Ahead != Prefetch::none && q >= 8) {
      constexpr auto kHint = Ahead == Prefetch::far ? _MM_HINT_T1 : _MM_HINT_T0;
      _mm_prefetch(line, kHint);
      _mm_prefetch(line + line_stride_bytes, kHint);
      line += 2 * line_stride_bytes;
    }
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) fma_element(sum[i], x + i, w[q]);
    x += stride;
  }
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i) _mm512_storeu_ps(sums + i * kManyColumns, sum[i]);
}

// Splits the rows into parts of Rows or Rows + 1, at most twelve: as many sums as there are registers beside the
// square.
constexpr int kMostChains = 12;
constexpr int kFewestChains = kMostChains / 2;
static_assert(kThinFew >= kFewestChains);
template <int Rows, Prefetch Ahead>
inline __attribute__((always_inline)) void add_square_to_all(const __m512 (&w)[16], int64_t rows, const float* x, float* sums,
                                                             const char* line, int64_t line_stride_bytes) {
  int64_t i = 0;
  if constexpr (Rows < kMostChains) {
    for (int64_t longer = rows % Rows; longer > 0; --longer, i += Rows + 1) {
      add_square<Rows + 1, Prefetch::none>(w, x + i, rows, sums + i * kManyColumns, nullptr, 0);
    }
  }
  for (; i + Rows < rows; i += Rows) {
    add_square<Rows, Prefetch::none>(w, x + i, rows, sums + i * kManyColumns, nullptr, 0);
  }
  add_square<Rows, Ahead>(w, x + i, rows, sums + i * kManyColumns, line, line_stride_bytes);
}

// Sixteen columns whose distance in bytes is a multiple of this map to one set of L1, which cannot hold them.
constexpr int64_t kSetBytes = 4096;

template <int Rows, Prefetch Ahead, typename Element>
void many_columns_of(const ManyRows<Element>& s, int64_t j) {
  constexpr int64_t kLine = kCacheLineBytes / static_cast<int64_t>(sizeof(Element));
  const int64_t stride_bytes = s.w.stride_i * static_cast<int64_t>(sizeof(Element));
  constexpr int64_t kAhead = (Ahead == Prefetch::far ? 2 : 1) * kLinesAhead * kLine;
  float* sums = s.sums + j * s.rows;
  const float* x = s.x;
  int64_t p = 0;
  for (; p + kLine <= s.k; p += kLine, x += kLine * s.rows) {
    int64_t step = p + kAhead;
    if (step >= s.k) step += 16 * s.w.stride_i - s.k;  // in the next group of columns
    const auto* line = reinterpret_cast<const char*>(s.w.at(step, j).data);
    __m512 w[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) {
      w[r] = _mm512_loadu_ps(reinterpret_cast<const float*>(s.w.at(p, j + r).data));
    }
    transpose16(w);
    if constexpr (sizeof(Element) == 4) {
      add_square_to_all<Rows, Ahead>(w, s.rows, x, sums, line, stride_bytes);
    } else {
      const auto widen = [&](auto half, __m512 (&square)[16]) __attribute__((always_inline)) {
#pragma GCC unroll 8
        for (int q = 0; q < 8; ++q) {
          square[2 * q] = element_of_pairs<Element>(w[half * 8 + q], false);
          square[2 * q + 1] = element_of_pairs<Element>(w[half * 8 + q], true);
        }
      };
      __m512 square[16];
      widen(std::integral_constant<int, 0>(), square);
      add_square_to_all<Rows, Ahead>(square, s.rows, x, sums, line, stride_bytes);
      widen(std::integral_constant<int, 1>(), square);
      add_square_to_all<Rows, Prefetch::none>(square, s.rows, x + 16 * s.rows, sums, nullptr, 0);
    }
  }
  if (p < s.k) many_by_elements<SumsAvx512>(s, j, 16, p);
}

template <int Rows, typename Element>
void many_columns(const ManyRows<Element>& s) {
  int64_t j = 0;
  if constexpr (sizeof(Element) == 4) {
    const bool is_far = s.w.stride_i * static_cast<int64_t>(sizeof(Element)) % kSetBytes == 0;
    for (; is_far && j + 16 <= s.columns; j += 16) many_columns_of<Rows, Prefetch::far>(s, j);
  }
  for (; j + 16 <= s.columns; j += 16) many_columns_of<Rows, Prefetch::near>(s, j);
  if (j < s.columns) many_by_elements<SumsAvx512>(s, j, s.columns - j, 0);
}

template <typename Element>
struct ManyColumns {
  void (*of[kMostChains - kFewestChains + 1])(const ManyRows<Element>& s);
};
template <typename Element, int... Rows>
constexpr ManyColumns<Element> many_columns_by_rows(std::integer_sequence<int, Rows...>) {
  return {{many_columns<kFewestChains + Rows, Element>...}};
}

void SumsAvx512::add_square(const float* square, int64_t steps, int64_t rows, const float* x, float* sums) {
  for (int64_t i = 0; i < rows; ++i, sums += kManyColumns) {
    __m512 sum = _mm512_loadu_ps(sums);
    for (int64_t q = 0; q < steps; ++q) {
      sum = _mm512_fmadd_ps(_mm512_set1_ps(x[q * rows + i]), _mm512_load_ps(square + q * kManyColumns), sum);
    }
    _mm512_storeu_ps(sums, sum);
  }
}
template <int T, typename Element>
void SumsAvx512::columns(const Strip<Element>& s) {
  int64_t j = 0;
  for (; j + 16 <= s.columns; j += 16) sixteen_columns<T, true>(s, j);
  if (j < s.columns) sixteen_columns<T, false>(s, j);
}

template <typename Element>
void SumsAvx512::many_by_rows(const ManyRows<Element>& s) {
  int64_t p = 0;
  for (; p + kRowSteps <= s.k; p += kRowSteps) rows_of_k<kRowSteps>(s, p);
  for (; p < s.k; ++p) rows_of_k<1>(s, p);
}

template <typename Element>
void SumsAvx512::many_by_columns(const ManyRows<Element>& s) {
  static constexpr auto kByRows = many_columns_by_rows<Element>(std::make_integer_sequence<int, kMostChains - kFewestChains + 1>());
  const int64_t parts = (s.rows + kMostChains - 1) / kMostChains;
  kByRows.of[s.rows / parts - kFewestChains](s);
}

}  // namespace

inline namespace TESSERAE_ISA {

void compute_thin_tile(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  thin_tile_with<SumsAvx512>(p, x, tile, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
