// The AVX-512 micro-kernel of matmul: a micro-tile of C, 12 × 32 or 8 × 48, in registers, over one k-block. Called by
// the loops of simd/matmul_blocked.h. Not here: the epilogue.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx512/matmul_vector.h"
#include "kernels/block_sizes.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// 24 accumulators, 2 or 3 vectors of B and one of A fill 27 or 28 of the 32 registers: 24 independent FMA chains, and
// 14 or 11 loads for 24 FMAs.
constexpr int kMostRows512 = 12;
constexpr int kMostPanels512 = 3;
static_assert(kNr == 16, "a panel is one vector wide");

// Distance of the prefetches of B, in rows of the panels. Beyond the end they reach into the next panel, or into memory
// that is only prefetched, never read.
constexpr int64_t kPrefetchRows512 = 16;

// Sources of the rows of B. row(p, v) returns 16 columns (panel v) of row p of the next four; next() is called after
// each row, advance(steps) after each `steps` rows.

// Contiguous panels of k × kNr floats.
struct PackedRows {
  const float* panel;
  int64_t k;

  [[gnu::always_inline]] __m512 row(int64_t p, int v) const {
    const float* from = panel + (v * k + p) * kNr;
    _mm_prefetch(reinterpret_cast<const char*>(from + kPrefetchRows512 * kNr), _MM_HINT_T0);
    return _mm512_loadu_ps(from);
  }
  [[gnu::always_inline]] void next() {}
  [[gnu::always_inline]] void advance(int64_t steps) { panel += steps * kNr; }
};

// Rows of B in place, with Vectors · 16 columns (of the last 16 only those in `last`). They are also written as panels.
template <typename Element, int Vectors>
struct PackingRows {
  const Element* from;
  int64_t rs;
  float* panel;
  int64_t panel_bytes;  // from one panel to the next
  __mmask16 last;
  const Element* ahead = from + kPackRowsAhead * rs;

  [[gnu::always_inline]] __m512 row(int64_t p, int v) const {
    _mm_prefetch(reinterpret_cast<const char*>(ahead + v * kNr), _MM_HINT_T0);
    const Element* elements = from + v * kNr;
    const __m512 columns = v < Vectors - 1 ? load16(elements) : load_masked16(elements, last);
    _mm512_storeu_ps(reinterpret_cast<char*>(panel + p * kNr) + v * panel_bytes, columns);
    return columns;
  }
  // The asm hides the pointers: otherwise GCC 12 keeps an address for each row of the unrolled loop, and spills them.
  [[gnu::always_inline]] void next() {
    from += rs, ahead += rs;
    asm("" : "+r"(from), "+r"(ahead));
  }
  [[gnu::always_inline]] void advance(int64_t steps) {
    panel += steps * kNr;
    asm("" : "+r"(panel));
  }
};

// to[i, j] = from[i, j] + sum over p of a[i, p] · b[p, j], one FMA chain per element, for Rows rows and Vectors panels
// of 16 columns. Of the last panel only the columns in `last` are stored.
//   a      row i starts at a + i · a_rs, with unit stride in k; packed: at a + i, with stride Rows
//   from   rows of Vectors whole panels, or null for zeros; may be `to`
template <int Rows, int Vectors, bool PackedA, typename RowsOfB>
[[gnu::always_inline]] inline void sgemm_avx512(int64_t k, const float* a, int64_t a_rs, RowsOfB b, const float* from,
                                                float* to, int64_t to_rs, __mmask16 last) {
  __m512 sum[Rows][Vectors];
  if (from) {
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) sum[i][v] = _mm512_loadu_ps(from + (i * Vectors + v) * kNr);
    }
  } else {
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) sum[i][v] = _mm512_setzero_ps();
    }
  }

  // One pointer for three rows: the offsets a_rs and 2 · a_rs are addressing modes.
  constexpr int kBases = PackedA ? 1 : (Rows + 2) / 3;
  const float* base[kBases];
#pragma GCC unroll 4
  for (int i = 0; i < kBases; ++i) base[i] = a + i * 3 * a_rs;

  const auto step = [&](int64_t p) __attribute__((always_inline)) {
    __m512 columns[Vectors];
#pragma GCC unroll 3
    for (int v = 0; v < Vectors; ++v) columns[v] = b.row(p, v);
    b.next();
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
      const float* element = PackedA ? base[0] + p * Rows + i : base[i / 3] + (i % 3) * a_rs + p;
      const __m512 factor = _mm512_set1_ps(*element);
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) fma_in_place(sum[i][v], factor, columns[v]);
    }
  };
  const auto advance = [&](int64_t steps) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int i = 0; i < kBases; ++i) base[i] += PackedA ? steps * Rows : steps;
    b.advance(steps);
  };

  for (; k >= 4; k -= 4) {
    step(0);
    step(1);
    step(2);
    step(3);
    advance(4);
  }
  for (; k > 0; --k) {
    step(0);
    advance(1);
  }

#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
    for (int v = 0; v < Vectors - 1; ++v) _mm512_storeu_ps(to + i * to_rs + v * kNr, sum[i][v]);
    _mm512_mask_storeu_ps(to + i * to_rs + (Vectors - 1) * kNr, last, sum[i][Vectors - 1]);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
