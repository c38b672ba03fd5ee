// Vectors of eight floats for matmul: masks, loads from f32, f16 and bf16, transposes. Included by the matmul and
// packing sources of the vector sets.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/half.h"
#include "kernels/vec/vec.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// All bits set in the first `count` lanes; count may be any number.
inline Bits256 first_lanes(int64_t count) {
  const int limit = count < 0 ? 0 : count > 8 ? 8 : static_cast<int>(count);
  return greater_i32(i32x8(limit), i32x8(0, 1, 2, 3, 4, 5, 6, 7));
}

// The 16-bit element types; two C++ types, so that overloads can distinguish them.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

template <typename Element>
F32x8 widen(Bits128 bits);
template <>
inline F32x8 widen<Half>(Bits128 bits) {
  return f16_to_f32(bits);
}
template <>
inline F32x8 widen<Bfloat>(Bits128 bits) {
  return as_f32(shift_left_i32(u16_to_i32(bits), 16));
}

inline F32x8 load8(const float* from) { return load_f32x8(from); }
template <typename Element>
inline F32x8 load8(const Element* from) {
  return widen<Element>(load_bits128(from));
}

// Loads the first `count` (1 to 7) elements and fills the other lanes with zeros. Reads no byte beyond them.
inline F32x8 load_first(const float* from, int64_t count) { return masked_load_f32x8(from, first_lanes(count)); }
template <typename Element>
inline F32x8 load_first(const Element* from, int64_t count) {
  Element elements[8] = {};
  std::memcpy(elements, from, static_cast<size_t>(count) * sizeof(Element));
  return load8(elements);
}

inline float load1(const float* from) { return *from; }
inline float load1(const Half* from) { return half_to_f32(from->bits); }
inline float load1(const Bfloat* from) { return bfloat_to_float(from->bits); }

// Loads the first `count` of eight elements that are `stride` apart, and fills the other lanes with zeros.
template <typename Element>
inline F32x8 load_strided(const Element* from, int64_t stride, int64_t count) {
  alignas(32) float lanes[8] = {};
  for (int64_t lane = 0; lane < count && lane < 8; ++lane) lanes[lane] = load1(from + lane * stride);
  return load_aligned_f32x8(lanes);
}

// Transposes 8 × 8 floats: lane j of rows[i] becomes lane i of rows[j].
inline void transpose8(F32x8 (&rows)[8]) {
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

// Transposes two 8 × 8 squares of 16-bit elements: lane j of rows[i] becomes lane i of rows[j], within the first eight
// lanes and within the other eight. Transposing before widening takes half the shuffles.
inline void transpose8(Bits256 (&rows)[8]) {
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
}  // namespace tesserae::matmul
