// The thin path of matmul with AVX-512: sums along rows of the wide operand, and along its columns by transposes of sixteen
// columns in registers. The sums are the chains that AVX2 computes.
#include "kernels/avx2/matmul_thin.h"

#include "kernels/avx2/matmul_thin_loops.h"

namespace tesserae::matmul {
namespace {

inline __mmask16 first_of_16(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }

inline __m512 load16(const float* from) { return _mm512_loadu_ps(from); }
inline __m512 load16(const Half* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline __m512 load16(const Bfloat* from) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
// The first `count` (1 to 15) elements, zeros behind them. Reads no byte beyond them.
inline __m512 load_first16(const float* from, int64_t count) { return _mm512_maskz_loadu_ps(first_of_16(count), from); }
template <typename Element>
inline __m512 load_first16(const Element* from, int64_t count) {
  Element elements[16] = {};
  std::memcpy(elements, from, static_cast<size_t>(count) * sizeof(Element));
  return load16(elements);
}

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

// rows[i] lane j becomes rows[j] lane i.
inline __attribute__((always_inline)) void transpose16(__m512 (&rows)[16]) {
  __m512 pairs[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
  }
  // quads[i + c], part l of 128 bits: lanes 4l + c of rows i to i + 3.
  __m512 quads[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    quads[i] = _mm512_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm512_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm512_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm512_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512 even_low = _mm512_shuffle_f32x4(quads[c], quads[4 + c], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(quads[c], quads[4 + c], 0xdd);
    const __m512 even_high = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], 0x88);
    const __m512 odd_high = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], 0xdd);
    rows[c] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    rows[8 + c] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
    rows[4 + c] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    rows[12 + c] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
  }
}

// Elements of 16 bits move in pairs: the two of a lane, widened.
template <typename Element>
__m512 low_of_pair(__m512i pairs);
template <typename Element>
__m512 high_of_pair(__m512i pairs);
template <>
inline __attribute__((always_inline)) __m512 low_of_pair<Half>(__m512i pairs) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pairs));
}
template <>
inline __attribute__((always_inline)) __m512 high_of_pair<Half>(__m512i pairs) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(pairs, 16)));
}
template <>
inline __attribute__((always_inline)) __m512 low_of_pair<Bfloat>(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}
template <>
inline __attribute__((always_inline)) __m512 high_of_pair<Bfloat>(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
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
