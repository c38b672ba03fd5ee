// Vectors of eight and sixteen floats for matmul: loads from f32, f16 and bf16. Included by the matmul and packing
// sources.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/half.h"
#include "kernels/simd/transpose.h"
#include "kernels/vec/vec.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Distance of the prefetches, in rows, while a block of A or B is packed: its rows are short and far apart, which the
// hardware prefetchers do not predict.
constexpr int64_t kPackRowsAhead = 8;

// The 16-bit element types; two C++ types, so that overloads can distinguish them.
struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

// The floats of eight or sixteen elements of 16 bits: of Bits128 or Bits256.
template <typename Element, typename Bits>
inline auto widen(Bits bits) {
  if constexpr (std::is_same_v<Element, Half>) return f16_to_f32(bits);
  else return as_f32(shift_left_i32(u16_to_i32(bits), 16));
}

inline F32x8 load8(const float* from) { return load_f32x8(from); }
template <typename Element>
inline F32x8 load8(const Element* from) {
  return widen<Element>(load_bits128(from));
}
inline F32x16 load16(const float* from) { return load_f32x16(from); }
template <typename Element>
inline F32x16 load16(const Element* from) {
  if constexpr (kFloats == 16) return widen<Element>(load_bits256(from));
  else return join(load8(from), load8(from + 8));
}

// As many elements as a vector has floats.
template <typename Element>
inline Floats load_floats(const Element* from) {
  if constexpr (kFloats == 16) return load16(from);
  else return load8(from);
}

// Loads the elements in `present` and fills the other lanes with zeros. Reads no other byte. Elements of 16 bits only in sets
// whose registers have sixteen lanes.
inline F32x16 load_masked16(const float* from, Mask16 present) { return masked_load_f32x16(from, present); }
template <typename Element>
inline F32x16 load_masked16(const Element* from, Mask16 present) {
  return widen<Element>(masked_load_u16(from, present));
}

// Loads the first `count` (1 to 15) elements and fills the other lanes with zeros. Reads no byte beyond them.
inline F32x16 load_first16(const float* from, int64_t count) { return masked_load_f32x16(from, first_lanes16(count)); }
template <typename Element>
inline F32x16 load_first16(const Element* from, int64_t count) {
  if constexpr (kFloats == 16) return load_masked16(from, first_lanes16(count));
  Element elements[16] = {};
  std::memcpy(elements, from, static_cast<size_t>(count) * sizeof(Element));
  return load16(elements);
}
// The same for 1 to 7.
inline F32x8 load_first(const float* from, int64_t count) { return masked_load_f32x8(from, first_lanes(count)); }
template <typename Element>
inline F32x8 load_first(const Element* from, int64_t count) {
  Element elements[8] = {};
  std::memcpy(elements, from, static_cast<size_t>(count) * sizeof(Element));
  return load8(elements);
}
// The same for fewer than a vector has floats.
template <typename Element>
inline Floats load_first_floats(const Element* from, int64_t count) {
  if constexpr (kFloats == 16) return load_first16(from, count);
  else return load_first(from, count);
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
