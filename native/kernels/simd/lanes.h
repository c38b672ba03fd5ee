// Loops over a row, eight columns at a time. Full vectors and the masked remainder run the same code, so that the bits
// of a column do not depend on where the row ends. Included by the row-wise kernels and by attention.
#pragma once

#include <cstdint>

#include "kernels/simd/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// All eight lanes.
struct AllLanes {
  TESSERAE_INLINE F32x8 load(const float* p) const { return load_f32x8(p); }
  TESSERAE_INLINE void store(float* p, F32x8 v) const { store_f32x8(p, v); }
  TESSERAE_INLINE F32x8 keep(F32x8 v, F32x8) const { return v; }
};

// The first `count` lanes; the others load 0 and are not stored. keep(v, others) replaces them by those of `others`.
struct FirstLanes {
  Bits256 mask;
  TESSERAE_INLINE explicit FirstLanes(int64_t count) : mask(first_lanes(count)) {}
  TESSERAE_INLINE F32x8 load(const float* p) const { return masked_load_f32x8(p, mask); }
  TESSERAE_INLINE void store(float* p, F32x8 v) const { masked_store_f32x8(p, mask, v); }
  TESSERAE_INLINE F32x8 keep(F32x8 v, F32x8 others) const {
    return blend(others, v, as_f32(mask));
  }
};

// Calls body(column, lanes) for each group of eight columns.
template <typename Body>
TESSERAE_INLINE void for_columns8(int64_t columns, Body&& body) {
  int64_t column = 0;
  for (; column + 8 <= columns; column += 8) body(column, AllLanes{});
  if (column < columns) body(column, FirstLanes(columns - column));
}

// A reduction with 32 accumulators: lane i of accumulator j gets the columns with column mod 32 = 8 j + i, in order.
// body(column, lanes, accumulator) returns the new accumulator and must not change lanes beyond the row's end. The
// result has one value for each column mod 8.
template <typename Body, typename Combine>
TESSERAE_INLINE F32x8 reduce_columns8(int64_t columns, F32x8 initial, Body&& body, Combine&& combine) {
  F32x8 first = initial, second = initial, third = initial, fourth = initial;
  int64_t column = 0;
  for (; column + 32 <= columns; column += 32) {
    first = body(column, AllLanes{}, first);
    second = body(column + 8, AllLanes{}, second);
    third = body(column + 16, AllLanes{}, third);
    fourth = body(column + 24, AllLanes{}, fourth);
  }
  F32x8 rest[4] = {first, second, third, fourth};
  int index = 0;
  for (; column + 8 <= columns; column += 8, ++index) rest[index] = body(column, AllLanes{}, rest[index]);
  if (column < columns) rest[index] = body(column, FirstLanes(columns - column), rest[index]);
  return combine(combine(rest[0], rest[1]), combine(rest[2], rest[3]));
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
