// Loops over a row, a vector of the set's widest registers (Floats) at a time. Full vectors and the masked remainder run
// the same code, so that the bits of a column do not depend on where the row ends. Included by the row-wise kernels and by
// attention.
#pragma once

#include <cstdint>

#include "kernels/simd/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// All lanes of a vector.
struct AllLanes {
  TESSERAE_INLINE Floats load(const float* p) const { return load_vector<Floats>(p); }
  TESSERAE_INLINE void store(float* p, Floats v) const { store_vector(p, v); }
  TESSERAE_INLINE Floats keep(Floats v, Floats) const { return v; }
};

// The first `count` lanes; the others load 0 and are not stored. keep(v, others) replaces them by those of `others`.
struct FirstLanes {
  using Of = LanesOf<Floats>;
  Of::First mask;
  TESSERAE_INLINE explicit FirstLanes(int64_t count) : mask(Of::first(count)) {}
  TESSERAE_INLINE Floats load(const float* p) const { return Of::masked_load(p, mask); }
  TESSERAE_INLINE void store(float* p, Floats v) const { Of::masked_store(p, mask, v); }
  TESSERAE_INLINE Floats keep(Floats v, Floats others) const { return Of::choose(others, v, mask); }
};

// Calls body(column, lanes) for each vector of columns.
template <typename Body>
TESSERAE_INLINE void for_columns(int64_t columns, Body&& body) {
  int64_t column = 0;
  for (; column + kFloats <= columns; column += kFloats) body(column, AllLanes{});
  if (column < columns) body(column, FirstLanes(columns - column));
}

// Combines accumulators by column mod 32 to one value for each column mod 8, in the same tree for all vectors.
template <typename Combine>
TESSERAE_INLINE F32x8 combine_columns(const F32x8 (&of)[4], Combine&& combine) {
  return combine(combine(of[0], of[1]), combine(of[2], of[3]));
}
template <typename Combine>
TESSERAE_INLINE F32x8 combine_columns(const F32x16 (&of)[2], Combine&& combine) {
  return combine(combine(low_half(of[0]), high_half(of[0])), combine(low_half(of[1]), high_half(of[1])));
}

// A reduction with 32 accumulators: accumulator i gets the columns with column mod 32 = i, in order.
// body(column, lanes, accumulators) returns the new accumulators and must not change lanes beyond the row's end;
// combine is called with vectors of eight lanes. The result has one value for each column mod 8.
template <typename Body, typename Combine>
TESSERAE_INLINE F32x8 reduce_columns(int64_t columns, float initial, Body&& body, Combine&& combine) {
  constexpr int vectors = 32 / kFloats;
  Floats accumulators[vectors];
#pragma GCC unroll 4
  for (int i = 0; i < vectors; ++i) accumulators[i] = splat<Floats>(initial);
  int64_t column = 0;
  for (; column + 32 <= columns; column += 32) {
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) accumulators[i] = body(column + i * kFloats, AllLanes{}, accumulators[i]);
  }
  Floats rest[vectors];
#pragma GCC unroll 4
  for (int i = 0; i < vectors; ++i) rest[i] = accumulators[i];
  int index = 0;
  for (; column + kFloats <= columns; column += kFloats, ++index) rest[index] = body(column, AllLanes{}, rest[index]);
  if (column < columns) rest[index] = body(column, FirstLanes(columns - column), rest[index]);
  return combine_columns(rest, combine);
}

// Adds to eight sums by column mod 8, in order.
TESSERAE_INLINE F32x8 add_columns(F32x8 sums, F32x8 v) { return add(sums, v); }
TESSERAE_INLINE F32x8 add_columns(F32x8 sums, F32x16 v) { return add(add(sums, low_half(v)), high_half(v)); }

}  // namespace TESSERAE_ISA
}  // namespace tesserae
