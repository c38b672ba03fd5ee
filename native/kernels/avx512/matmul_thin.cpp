// The thin path of matmul with AVX-512: sums along rows of the wide operand, and along its columns by transposes of sixteen
// columns in registers. The sums are the chains that AVX2 computes.
#include "kernels/avx2/matmul_thin.h"

#include "kernels/avx2/matmul_thin_loops.h"
#include "kernels/avx512/matmul_vector.h"

namespace tesserae::matmul {
namespace {

// Rows of w taken at a time, and how many such steps ahead they are prefetched.
constexpr int kRowSteps = 4;
constexpr int kRowStepsAhead = 3;

template <int T, int Steps, int Vectors, typename Load>
inline __attribute__((always_inline)) void rows_step(const float* x, float* sums, Load load) {
  __m512 w[Steps][Vectors];
#pragma GCC unroll 8
  for (int q = 0; q < Steps; ++q) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) w[q][v] = load(q, v);
  }
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
    __m512 sum[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sum[v] = _mm512_loadu_ps(sums + i * kSumsStride + v * 16);
#pragma GCC unroll 8
    for (int q = 0; q < Steps; ++q) {
      const __m512 factor = _mm512_set1_ps(x[q * T + i]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[v] = _mm512_fmadd_ps(factor, w[q][v], sum[v]);
    }
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) _mm512_storeu_ps(sums + i * kSumsStride + v * 16, sum[v]);
  }
}

template <int T, int Steps, typename Element>
inline void rows_of_k(const Strip<Element>& s, int64_t p) {
  const Element* w = s.w + p * s.stride_k;
  const float* x = s.x + p * T;
  int64_t j = 0;
  for (; j + 32 <= s.columns; j += 32) {
#pragma GCC unroll 8
    for (int q = 0; q < Steps; ++q) {
      const auto* ahead = reinterpret_cast<const char*>(w + (kRowStepsAhead * Steps + q) * s.stride_k + j);
      _mm_prefetch(ahead, _MM_HINT_T0);
      if (sizeof(Element) == 4) _mm_prefetch(ahead + kCacheLineBytes, _MM_HINT_T0);
    }
    rows_step<T, Steps, 2>(x, s.sums + j, [&](int q, int v) __attribute__((always_inline)) {
      return load16(w + q * s.stride_k + j + v * 16);
    });
  }
  for (; j + 16 <= s.columns; j += 16) {
    rows_step<T, Steps, 1>(x, s.sums + j, [&](int q, int) __attribute__((always_inline)) {
      return load16(w + q * s.stride_k + j);
    });
  }
  if (j < s.columns) {
    const int64_t rest = s.columns - j;
    rows_step<T, Steps, 1>(x, s.sums + j, [&](int q, int) __attribute__((always_inline)) {
      return load_first16(w + q * s.stride_k + j, rest);
    });
  }
}

// Cache lines that a column is prefetched ahead; behind its end those of the columns that come next.
constexpr int64_t kLinesAhead = 8;

// Groups of sixteen columns, one cache line of each column at a time: a group is a chain of its own, and one alone would wait
// for its own sums. Where fewer columns are left the last one stands in for the missing.
template <int T, int Groups, bool Whole, typename Element>
void groups_of_columns(const Strip<Element>& s, int64_t j) {
  constexpr int64_t kLine = kCacheLineBytes / static_cast<int64_t>(sizeof(Element));
  constexpr int64_t kSteps = sizeof(Element) == 4 ? 1 : 2;  // of k in a lane
  const Element* first = s.w + j * s.stride_j;
  const auto column = [&](int g, int64_t r) __attribute__((always_inline)) {
    return first + (Whole ? g * 16 + r : std::min(r, s.columns - j - 1)) * s.stride_j;
  };
  float* sums = s.sums + j;
  __m512 sum[T][Groups];
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
#pragma GCC unroll 2
    for (int g = 0; g < Groups; ++g) sum[i][g] = _mm512_loadu_ps(sums + i * kSumsStride + g * 16);
  }
  const auto add = [&](int64_t p, __m512 w, int g) __attribute__((always_inline)) {
    const float* x = s.x + p * T;
#pragma GCC unroll 8
    for (int i = 0; i < T; ++i) sum[i][g] = _mm512_fmadd_ps(_mm512_set1_ps(x[i]), w, sum[i][g]);
  };
  const auto add_lane = [&](int64_t p, __m512 lane, int g, int64_t count) __attribute__((always_inline)) {
    if constexpr (sizeof(Element) == 4) {
      add(p, lane, g);
    } else {
      add(p, low_of_pair<Element>(_mm512_castps_si512(lane)), g);
      if (count > 1) add(p + 1, high_of_pair<Element>(_mm512_castps_si512(lane)), g);
    }
  };
  int64_t p = 0;
  for (; p + kLine <= s.k; p += kLine) {
    int64_t ahead = p + kLinesAhead * kLine;
    if (ahead >= s.k) ahead += Groups * 16 * s.stride_j - s.k;
#pragma GCC unroll 2
    for (int g = 0; g < Groups; ++g) {
      __m512 w[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) {
        const Element* at = column(g, r);
        if (Whole) _mm_prefetch(reinterpret_cast<const char*>(at + ahead), _MM_HINT_T0);
        w[r] = _mm512_loadu_ps(reinterpret_cast<const float*>(at + p));
      }
      transpose16(w);
#pragma GCC unroll 16
      for (int q = 0; q < 16; ++q) add_lane(p + q * kSteps, w[q], g, kSteps);
    }
  }
  if (p < s.k) {
    const int64_t rest = s.k - p;
    for (int g = 0; g < Groups; ++g) {
      __m512 w[16];
      for (int r = 0; r < 16; ++r) {
        alignas(64) Element line[kLine] = {};
        std::memcpy(line, column(g, r) + p, static_cast<size_t>(rest) * sizeof(Element));
        w[r] = _mm512_load_ps(reinterpret_cast<const float*>(line));
      }
      transpose16(w);
      for (int64_t q = 0; q * kSteps < rest; ++q) add_lane(p + q * kSteps, w[q], g, rest - q * kSteps);
    }
  }
  const __mmask16 mask = Whole ? 0xffff : first_of_16(s.columns - j);
#pragma GCC unroll 8
  for (int i = 0; i < T; ++i) {
#pragma GCC unroll 2
    for (int g = 0; g < Groups; ++g) _mm512_mask_storeu_ps(sums + i * kSumsStride + g * 16, mask, sum[i][g]);
  }
}

struct SumsAvx512 {
  template <int T, typename Element>
  static void rows(const Strip<Element>& s) {
    int64_t p = 0;
    for (; p + kRowSteps <= s.k; p += kRowSteps) rows_of_k<T, kRowSteps>(s, p);
    for (; p < s.k; ++p) rows_of_k<T, 1>(s, p);
  }
  template <int T, typename Element>
  static void columns(const Strip<Element>& s) {
    // Of 16 bits a line is twice as long a chain; of 32 bits 32 columns are more streams than the prefetchers follow.
    constexpr int kGroups = sizeof(Element) == 2 && T <= 2 ? 2 : 1;
    int64_t j = 0;
    for (; j + kGroups * 16 <= s.columns; j += kGroups * 16) groups_of_columns<T, kGroups, true>(s, j);
    for (; j + 16 <= s.columns; j += 16) groups_of_columns<T, 1, true>(s, j);
    if (j < s.columns) groups_of_columns<T, 1, false>(s, j);
  }
};

}  // namespace

void thin_tile_avx512(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  thin_tile_with<SumsAvx512>(p, x, tile, scratch);
}

}  // namespace tesserae::matmul
