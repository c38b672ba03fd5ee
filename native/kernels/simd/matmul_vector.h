// Vectors of eight floats for matmul: loads from f32, f16 and bf16. Included by the matmul and packing
// sources.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/half.h"
#include "kernels/simd/transpose.h"
#include "kernels/vec/vec.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

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

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
