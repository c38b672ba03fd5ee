// The micro-kernel of matmul with eight lanes: a 6 × 16 micro-tile of C in registers, over one k-block. Called by the loops of
// matmul_blocked.h. Not here: the epilogue and partial columns (matmul_epilogue.h); the panel of B is padded with
// zeros.
#pragma once

#include <cstdint>

#include "kernels/block_sizes.h"
#include "kernels/vec/vec.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Distance of the prefetches of B, in rows of the panel. Beyond the end they reach into the next panel, or into memory
// that is only prefetched, never read.
constexpr int64_t kPrefetchRows = 16;

// to[i, 0..15] = from[i, 0..15] + sum over p of a[i,p] · b[p, 0..15], one FMA chain per element. Computes the first
// Rows rows and Vectors · 8 columns.
//   a      row i starts at a + i · a_rs, with unit stride in k; packed: at a + i, with stride kMr
//   b      a panel: one row of kNr floats for each k
//   from   rows kNr apart, or null for zeros; may be `to`
template <int Rows, int Vectors, bool PackedA>
void sgemm_6x16(int64_t k, const float* a, int64_t a_rs, const float* b, const float* from, float* to,
                     int64_t to_rs) {
  F32x8 sum[Rows][Vectors];
  if (from) {
#pragma GCC unroll 6
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[i][v] = load_f32x8(from + i * kNr + v * 8);
    }
  } else {
#pragma GCC unroll 6
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[i][v] = f32x8(0);
    }
  }

  const float* row[Rows];
#pragma GCC unroll 6
  for (int i = 0; i < Rows; ++i) row[i] = PackedA ? a + i : a + i * a_rs;

  const auto step = [&](int64_t p) __attribute__((always_inline)) {
    const int64_t at = PackedA ? p * kMr : p;
    prefetch(b + (p + kPrefetchRows) * kNr);
    F32x8 columns[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) columns[v] = load_f32x8(b + p * kNr + v * 8);
#pragma GCC unroll 6
    for (int i = 0; i < Rows; ++i) {
      const F32x8 factor = broadcast_f32x8(row[i] + at);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) fma_in_place(sum[i][v], factor, columns[v]);
    }
  };
  const auto advance = [&](int64_t steps) __attribute__((always_inline)) {
    b += steps * kNr;
#pragma GCC unroll 6
    for (int i = 0; i < Rows; ++i) row[i] += PackedA ? steps * kMr : steps;
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

#pragma GCC unroll 6
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) store_f32x8(to + i * to_rs + v * 8, sum[i][v]);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
