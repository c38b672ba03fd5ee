// The vector layer: names for what the kernels of kernels/simd do with vectors, so that one source compiles for every
// set. TESSERAE_VEC names the set's header (avx2.h, avx512.h, neon.h or portable.h); CMake defines it. Every operation
// gives the same bits in all sets, and is one instruction where the set has it. Included by kernels/simd only.
#pragma once

// Types: F32x8 and F64x4 are eight floats and four doubles; Bits256 is 256 bits whose lanes the operation names
// (add_i32, shift_left_i16). F32x4, F64x2 and Bits128 are halves of these. Operations on floats are overloaded:
//   f32x8(x), i32x8(x) ...     all lanes, or a list of them
//   fma, fms, fnma             a · b + c, a · b - c, c - a · b, rounded once
//   max, min                   a > b ? a : b and a < b ? a : b, so the second operand if either is NaN
//   compare_less ...           all bits of the lane set where it is true; false for NaN (compare_unordered: true)
//   blend(a, b, mask)          b where the highest bit of the mask's lane is set
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
