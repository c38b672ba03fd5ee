// Transposes of small matrices in registers. Included by the kernels of matmul, attention, copy and the packing of
// weights.
#pragma once

#include "kernels/vec/vec.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// Transposes 8 × 4 floats: rows[i] has the columns of row i in its lower half, and those of row i + 4 in its upper half;
// column[d] receives element d of rows 0 to 7.
TESSERAE_INLINE void transpose_8x4(const F32x8 (&rows)[4], F32x8 (&column)[4]) {
  const F32x8 low01 = interleave_low(rows[0], rows[1]);
  const F32x8 high01 = interleave_high(rows[0], rows[1]);
  const F32x8 low23 = interleave_low(rows[2], rows[3]);
  const F32x8 high23 = interleave_high(rows[2], rows[3]);
  column[0] = low_pairs(low01, low23);
  column[1] = high_pairs(low01, low23);
  column[2] = low_pairs(high01, high23);
  column[3] = high_pairs(high01, high23);
}

// Transposes 8 × 8 floats: lane j of rows[i] becomes lane i of rows[j].
TESSERAE_INLINE void transpose8(F32x8 (&rows)[8]) {
  F32x8 pairs[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = interleave_low(rows[i], rows[i + 1]);
    pairs[i + 1] = interleave_high(rows[i], rows[i + 1]);
  }
  F32x8 quads[8];
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    quads[i] = low_pairs(pairs[i], pairs[i + 2]);
    quads[i + 1] = high_pairs(pairs[i], pairs[i + 2]);
    quads[i + 2] = low_pairs(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = high_pairs(pairs[i + 1], pairs[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = low_halves(quads[i], quads[i + 4]);
    rows[i + 4] = high_halves(quads[i], quads[i + 4]);
  }
}

// Transposes 16 × 16 floats. The rows take 16 registers of sixteen lanes, so it is for sets that have more than these.
TESSERAE_INLINE void transpose16(F32x16 (&rows)[16]) {
  F32x16 pairs[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = interleave_low(rows[i], rows[i + 1]);
    pairs[i + 1] = interleave_high(rows[i], rows[i + 1]);
  }
  // Part l (128 bits) of quads[i + c] has lane 4l + c of rows i to i + 3.
  F32x16 quads[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    quads[i] = low_pairs(pairs[i], pairs[i + 2]);
    quads[i + 1] = high_pairs(pairs[i], pairs[i + 2]);
    quads[i + 2] = low_pairs(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = high_pairs(pairs[i + 1], pairs[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const F32x16 even_low = even_quarters(quads[c], quads[4 + c]);
    const F32x16 odd_low = odd_quarters(quads[c], quads[4 + c]);
    const F32x16 even_high = even_quarters(quads[8 + c], quads[12 + c]);
    const F32x16 odd_high = odd_quarters(quads[8 + c], quads[12 + c]);
    rows[c] = even_quarters(even_low, even_high);
    rows[8 + c] = odd_quarters(even_low, even_high);
    rows[4 + c] = even_quarters(odd_low, odd_high);
    rows[12 + c] = odd_quarters(odd_low, odd_high);
  }
}

// Transposes two 8 × 8 squares of 16-bit elements: lane j of rows[i] becomes lane i of rows[j], within the first eight
// lanes and within the other eight. Transposing before widening takes half the shuffles.
TESSERAE_INLINE void transpose8(Bits256 (&rows)[8]) {
  Bits256 pairs[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // pairs[i]: lanes 0-3 of rows 2i and 2i+1; pairs[i + 4]: lanes 4-7
    pairs[i] = interleave_low_i16(rows[2 * i], rows[2 * i + 1]);
    pairs[i + 4] = interleave_high_i16(rows[2 * i], rows[2 * i + 1]);
  }
  Bits256 quads[8];
#pragma GCC unroll 2
  for (int half = 0; half < 8; half += 4) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {  // lanes of rows 4i to 4i+3, two columns each
      quads[half + i] = interleave_low_i32(pairs[half + 2 * i], pairs[half + 2 * i + 1]);
      quads[half + i + 2] = interleave_high_i32(pairs[half + 2 * i], pairs[half + 2 * i + 1]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    rows[i] = interleave_low_i64(quads[i], quads[i + 1]);
    rows[i + 1] = interleave_high_i64(quads[i], quads[i + 1]);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
