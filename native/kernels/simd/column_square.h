// Squares of a matrix whose columns are contiguous (weights stored [n, k]), transposed in registers: one vector of each
// of as many columns as a vector has floats. Included by pack_b.cpp and the thin path.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/simd/matmul_vector.h"
#include "kernels/simd/transpose.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// load(c, from) reads the next kSteps elements of column c, load_first(c, from, count) the first `count` of them and
// zeros. After transpose(), step(q) has element q of all kColumns columns.
template <typename Vector>
struct SquareOfF32 {
  using Of = LanesOf<Vector>;
  static constexpr int kColumns = static_cast<int>(Of::count);
  static constexpr int kSteps = kColumns;
  Vector lines[kColumns];

  TESSERAE_INLINE void load(int64_t c, const float* from) { lines[c] = Of::load(from); }
  TESSERAE_INLINE void load_first(int64_t c, const float* from, int64_t count) {
    lines[c] = Of::masked_load(from, Of::first(count));
  }
  TESSERAE_INLINE void transpose() {
    if constexpr (kColumns == 16) transpose16(lines);
    else transpose8(lines);
  }
  TESSERAE_INLINE Vector step(int64_t q) const { return lines[q]; }
};

// Elements of 16 bits, eight columns: two squares of 8 × 8, side by side.
template <typename Element>
struct SquareOf16Bits {
  static constexpr int kColumns = 8;
  static constexpr int kSteps = 16;
  Bits256 lines[kColumns];

  TESSERAE_INLINE void load(int64_t c, const Element* from) { lines[c] = load_bits256(from); }
  TESSERAE_INLINE void load_first(int64_t c, const Element* from, int64_t count) {
    alignas(32) Element line[kSteps] = {};
    std::memcpy(line, from, static_cast<size_t>(count) * sizeof(Element));
    lines[c] = load_aligned_bits256(line);
  }
  TESSERAE_INLINE void transpose() { transpose8(lines); }
  TESSERAE_INLINE F32x8 step(int64_t q) const {
    return widen<Element>(q < 8 ? low_half(lines[q]) : high_half(lines[q - 8]));
  }
};

// Elements of 16 bits, two in each 32-bit lane: the floats of the first or of the second of each pair.
template <typename Element, typename Vector>
TESSERAE_INLINE Vector element_of_pairs(Vector lanes, bool second) {
  const auto pairs = bits_of(lanes);
  if constexpr (std::is_same_v<Element, Half>) {
    return f16_to_f32(lower_u16(second ? shift_right_u32(pairs, 16) : pairs));
  } else {
    const auto higher = LanesOf<Vector>::integers(static_cast<int32_t>(0xffff0000u));
    return as_f32(second ? bit_and(pairs, higher) : shift_left_i32(pairs, 16));
  }
}

// Elements of 16 bits, sixteen columns: transposed in pairs.
template <typename Vector, typename Element>
struct SquareOfPairs {
  static constexpr int kColumns = static_cast<int>(LanesOf<Vector>::count);
  static constexpr int kSteps = 2 * kColumns;
  Vector lines[kColumns];

  TESSERAE_INLINE void load(int64_t c, const Element* from) {
    lines[c] = load_vector<Vector>(reinterpret_cast<const float*>(from));
  }
  TESSERAE_INLINE void load_first(int64_t c, const Element* from, int64_t count) {
    alignas(64) Element line[kSteps] = {};
    std::memcpy(line, from, static_cast<size_t>(count) * sizeof(Element));
    load(c, line);
  }
  TESSERAE_INLINE void transpose() { transpose16(lines); }
  TESSERAE_INLINE Vector step(int64_t q) const { return element_of_pairs<Element>(lines[q / 2], q % 2 != 0); }
};

template <typename Element>
using ColumnSquare = std::conditional_t<
    sizeof(Element) == sizeof(float), SquareOfF32<Floats>,
    std::conditional_t<kFloats == 8, SquareOf16Bits<Element>, SquareOfPairs<Floats, Element>>>;

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
