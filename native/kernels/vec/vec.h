// The vector layer: names for what the kernels of kernels/simd do with vectors, so that one source compiles for every
// set. TESSERAE_VEC names the set's header (avx2.h, avx512.h, neon.h or portable.h); CMake defines it. Every operation
// gives the same bits in all sets, and is one instruction where the set has it. Included by kernels/simd only.
#pragma once

// Types: F32x8 and F64x4 are eight floats and four doubles; Bits256 is 256 bits whose lanes the operation names
// (add_i32, shift_left_i16). F32x4, F64x2 and Bits128 are halves of these. F32x16 and Bits512 are twice as wide: one
// register with AVX-512, and else two (wide_pairs.h). Floats and Doubles are the widest vectors with instructions of
// their own, of which kRegisters fit into registers. Operations on floats are overloaded:
//   f32x8(x), i32x8(x) ...     all lanes, or a list of them
//   fma, fms, fnma             a · b + c, a · b - c, c - a · b, rounded once
//   max, min                   a > b ? a : b and a < b ? a : b, so the second operand if either is NaN
//   compare_less ...           all bits of the lane set where it is true; false for NaN (compare_unordered: true). Of wide
//                              vectors a Mask16 or DoublesMask, which may have one bit a lane
//   blend(a, b, mask)          b where the highest bit of the mask's lane is set
//   even_quarters, odd_quarters    parts of 128 bits of two vectors of 512
//   interleave_*, low_pairs, high_pairs, pack_*, look_up_bytes   within each half, as AVX2 has them

#include <cstdint>

// All functions of the layer are inlined: a set's code must not be called by another.
#define TESSERAE_INLINE [[gnu::always_inline]] inline

namespace tesserae {
inline namespace TESSERAE_ISA {

// How a set adds the products of the bytes of two vectors to sums of 32 bits, four products to each.
enum class DotKind {
  pairs,           // only two products at a time, in 16 bits (multiply_pairs_u8_i8)
  unsigned_quads,  // dot_quad takes unsigned codes
  signed_quads,    // dot_quad takes signed codes
  signed_octets,   // and dot_octets multiplies two rows of eight signed codes by two rows of eight values
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae

#include TESSERAE_VEC

namespace tesserae {
inline namespace TESSERAE_ISA {

// All bits set in the first `count` lanes; count may be any number.
TESSERAE_INLINE Bits256 first_lanes(int64_t count) {
  const int limit = count < 0 ? 0 : count > 8 ? 8 : static_cast<int>(count);
  return greater_i32(i32x8(limit), i32x8(0, 1, 2, 3, 4, 5, 6, 7));
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae

#ifndef TESSERAE_HAS_512_BITS
#include "kernels/vec/wide_pairs.h"
#endif

namespace tesserae {
inline namespace TESSERAE_ISA {

// For templates over the vector type: its lanes, one value in all of them, loads and stores.
template <typename Vector>
struct LanesOf;
template <>
struct LanesOf<F32x8> {
  static constexpr int64_t count = 8;
  TESSERAE_INLINE static F32x8 splat(float x) { return f32x8(x); }
  TESSERAE_INLINE static F32x8 numbers() { return f32x8(0, 1, 2, 3, 4, 5, 6, 7); }
  TESSERAE_INLINE static F32x8 load(const float* p) { return load_f32x8(p); }
  TESSERAE_INLINE static Bits256 integers(int32_t x) { return i32x8(x); }
  // The first lanes of a vector, and what is done with them alone. choose(others, v, first) takes those of v, and
  // keep(v, first) sets the others to 0.
  using First = Bits256;
  TESSERAE_INLINE static First first(int64_t lanes) { return first_lanes(lanes); }
  TESSERAE_INLINE static F32x8 masked_load(const float* p, First first) { return masked_load_f32x8(p, first); }
  TESSERAE_INLINE static void masked_store(float* p, First first, F32x8 v) { masked_store_f32x8(p, first, v); }
  TESSERAE_INLINE static F32x8 choose(F32x8 others, F32x8 v, First first) { return blend(others, v, as_f32(first)); }
  TESSERAE_INLINE static F32x8 keep(F32x8 v, First first) { return bit_and(as_f32(first), v); }
};
template <>
struct LanesOf<F32x16> {
  static constexpr int64_t count = 16;
  TESSERAE_INLINE static F32x16 splat(float x) { return f32x16(x); }
  TESSERAE_INLINE static F32x16 numbers() {
    return join(f32x8(0, 1, 2, 3, 4, 5, 6, 7), f32x8(8, 9, 10, 11, 12, 13, 14, 15));
  }
  TESSERAE_INLINE static F32x16 load(const float* p) { return load_f32x16(p); }
  TESSERAE_INLINE static Bits512 integers(int32_t x) { return i32x16(x); }
  using First = Mask16;
  TESSERAE_INLINE static First first(int64_t lanes) { return first_lanes16(lanes); }
  TESSERAE_INLINE static F32x16 masked_load(const float* p, First first) { return masked_load_f32x16(p, first); }
  TESSERAE_INLINE static void masked_store(float* p, First first, F32x16 v) { masked_store_f32x16(p, first, v); }
  TESSERAE_INLINE static F32x16 choose(F32x16 others, F32x16 v, First first) { return blend(others, v, first); }
  TESSERAE_INLINE static F32x16 keep(F32x16 v, First first) { return bit_and(first, v); }
};
constexpr int64_t kFloats = LanesOf<Floats>::count;
constexpr int64_t kDoubles = kFloats / 2;

template <typename Vector>
TESSERAE_INLINE Vector splat(float x) { return LanesOf<Vector>::splat(x); }
// 0, 1, 2 and so on.
template <typename Vector>
TESSERAE_INLINE Vector lane_numbers() { return LanesOf<Vector>::numbers(); }
template <typename Vector>
TESSERAE_INLINE Vector load_vector(const float* p) { return LanesOf<Vector>::load(p); }
TESSERAE_INLINE void store_vector(float* p, F32x8 v) { store_f32x8(p, v); }
TESSERAE_INLINE void store_vector(float* p, F32x16 v) { store_f32x16(p, v); }

// The sum and the maximum of sixteen lanes: of the halves, then as of eight lanes.
TESSERAE_INLINE float sum_lanes(F32x16 v) { return sum_lanes(add(low_half(v), high_half(v))); }
TESSERAE_INLINE float max_lanes(F32x16 v) { return max_lanes(max(low_half(v), high_half(v))); }

}  // namespace TESSERAE_ISA
}  // namespace tesserae
