// The micro-kernel of matmul: a micro-tile of C in registers, over one k-block. Called by the loops of
// matmul_blocked.h, through the tables of matmul_micro.h. Not here: the epilogue (matmul_epilogue.h).
#pragma once

#include <cstdint>

#include "kernels/block_sizes.h"
#include "kernels/simd/matmul_vector.h"
#include "kernels/vec/vec.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// A panel is one register of sixteen lanes, or two of eight. With 32 registers, micro-tiles are 12 × 32 and 8 × 48: 24
// sums, 2 or 3 vectors of B and one factor fill 27 or 28 of them. With 16, they are 6 × 16: 12 sums, 2 vectors of B and
// one factor.
static_assert(kNr % kFloats == 0, "a panel is a whole number of vectors");

// Whether the last vector of a row of C may be stored in part.
constexpr bool kStoresPartly = kFloats == 16;

// Distance of the prefetches of B from a cache and from memory, in rows of f32 panels. Beyond the end they reach into the
// next panel, or into memory that is only prefetched, never read.
constexpr int64_t kPrefetchRows = 16;
constexpr int64_t kStreamRows = 40;

// Sources of the rows of B. row(p, v) returns vector v of row p of the next four; next() is called after each row,
// advance(steps) after each `steps` rows.

// Contiguous panels of k × kNr elements, in a cache: the next rows are prefetched into L1.
template <typename Element>
struct PackedRows {
  static constexpr int64_t kAhead = kPrefetchRows * static_cast<int64_t>(sizeof(float) / sizeof(Element));
  const Element* panel;
  int64_t k;

  TESSERAE_INLINE Floats row(int64_t p, int v) const {
    const int64_t column = v * kFloats;
    const Element* from = panel + (column / kNr * k + p) * kNr + column % kNr;
    if (column % kNr == 0) prefetch(from + kAhead * kNr);
    return load_floats(from);
  }
  TESSERAE_INLINE void next() {}
  TESSERAE_INLINE void advance(int64_t steps) { panel += steps * kNr; }
};

// The same from memory, Panels panels at a time: the rows to come are prefetched into L2, which can wait for more lines at
// once than L1; near the end of these panels, the first rows of the next ones.
template <typename Element, int Panels>
struct StreamedRows {
  static constexpr int64_t kAhead = kStreamRows * static_cast<int64_t>(sizeof(float) / sizeof(Element));
  const Element* panel;
  int64_t k;
  int64_t left = k - kAhead;
  const Element* ahead = panel + kAhead * kNr + (left > 0 ? 0 : (Panels - 1) * k * kNr);

  TESSERAE_INLINE Floats row(int64_t p, int v) const {
    const int64_t column = v * kFloats, at = (column / kNr * k + p) * kNr + column % kNr;
    if (column % kNr == 0) prefetch_far(ahead + at);
    return load_floats(panel + at);
  }
  TESSERAE_INLINE void next() {}
  TESSERAE_INLINE void advance(int64_t steps) {
    panel += steps * kNr;
    ahead += steps * kNr;
    if (left > 0 && left <= steps) ahead += (Panels - 1) * k * kNr;
    left -= steps;
  }
};

// Rows of B in place, with Panels · 16 columns (of the last 16 only those in `last`). They are also written as panels.
// For sets whose registers have sixteen lanes.
template <typename Element, int Panels>
struct PackingRows {
  const Element* from;
  int64_t rs;
  float* panel;
  int64_t panel_bytes;  // from one panel to the next
  Mask16 last;
  const Element* ahead = from + kPackRowsAhead * rs;

  TESSERAE_INLINE F32x16 row(int64_t p, int v) const {
    prefetch(ahead + v * kNr);
    const Element* elements = from + v * kNr;
    const F32x16 columns = v < Panels - 1 ? load16(elements) : load_masked16(elements, last);
    store_f32x16(reinterpret_cast<float*>(reinterpret_cast<char*>(panel + p * kNr) + v * panel_bytes), columns);
    return columns;
  }
  // The asm hides the pointers: otherwise GCC 12 keeps an address for each row of the unrolled loop, and spills them.
  TESSERAE_INLINE void next() {
    from += rs, ahead += rs;
    asm("" : "+r"(from), "+r"(ahead));
  }
  TESSERAE_INLINE void advance(int64_t steps) {
    panel += steps * kNr;
    asm("" : "+r"(panel));
  }
};

// to[i, j] = from[i, j] + sum over p of a[i, p] · b[p, j], one FMA chain per element, for Rows rows and Vectors vectors
// of columns. Of the last vector only the columns in `last` are stored, if the set stores in part.
//   a      row i starts at a + i · a_rs, with unit stride in k; packed: at a + i, with stride Rows
//   from   rows of whole panels, or null for zeros; may be `to`
template <int Rows, int Vectors, bool PackedA, typename RowsOfB>
TESSERAE_INLINE void sgemm(int64_t k, const float* a, int64_t a_rs, RowsOfB b, const float* from, float* to,
                           int64_t to_rs, LanesOf<Floats>::First last) {
  constexpr int64_t kFromStride = (Vectors * kFloats + kNr - 1) / kNr * kNr;
  Floats sum[Rows][Vectors];
  if (from) {
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) sum[i][v] = load_vector<Floats>(from + i * kFromStride + v * kFloats);
    }
  } else {
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) sum[i][v] = splat<Floats>(0);
    }
  }

  // One pointer for three rows: the offsets a_rs and 2 · a_rs are addressing modes.
  constexpr int kBases = PackedA ? 1 : (Rows + 2) / 3;
  const float* base[kBases];
#pragma GCC unroll 4
  for (int i = 0; i < kBases; ++i) base[i] = a + i * 3 * a_rs;

  const auto step = [&](int64_t p) __attribute__((always_inline)) {
    Floats columns[Vectors];
#pragma GCC unroll 3
    for (int v = 0; v < Vectors; ++v) columns[v] = b.row(p, v);
    b.next();
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
      const float* element = PackedA ? base[0] + p * Rows + i : base[i / 3] + (i % 3) * a_rs + p;
      const Floats factor = splat<Floats>(*element);
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
    float* row = to + i * to_rs;
    constexpr int kWhole = kStoresPartly ? Vectors - 1 : Vectors;
#pragma GCC unroll 3
    for (int v = 0; v < kWhole; ++v) store_vector(row + v * kFloats, sum[i][v]);
    if constexpr (kStoresPartly) LanesOf<Floats>::masked_store(row + kWhole * kFloats, last, sum[i][kWhole]);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
