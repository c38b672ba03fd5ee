// Loads and stores of element types as eight lanes of 32 bits: f32, f16, bf16 and plain bits. Included by the
// kernels copy, embedding, scatter and store_key_values.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/simd/math.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// Each type has load8 and store8 for its Storage. Bits32, Bits16 and Bits8 move bits without converting.
struct Bits32 {
  using Storage = uint32_t;
  TESSERAE_INLINE static F32x8 load8(const Storage* p) { return load_f32x8(reinterpret_cast<const float*>(p)); }
  TESSERAE_INLINE static void store8(Storage* p, F32x8 v) { store_f32x8(reinterpret_cast<float*>(p), v); }
};

struct Bits16 {
  using Storage = uint16_t;
  TESSERAE_INLINE static F32x8 load8(const Storage* p) {
    return as_f32(u16_to_i32(load_bits128(p)));
  }
  TESSERAE_INLINE static void store8(Storage* p, F32x8 v) {
    store_bits128(p, i32_to_u16(bits_of(v)));
  }
};

struct Bits8 {
  using Storage = uint8_t;
  TESSERAE_INLINE static F32x8 load8(const Storage* p) {
    return as_f32(u8_to_i32(load_bits64(p)));
  }
  TESSERAE_INLINE static void store8(Storage* p, F32x8 v) {
    store_bits64(p, i32_to_u8(bits_of(v)));
  }
};

// f16 in memory, f32 in the lanes; stores round to nearest, ties to even.
struct Half {
  using Storage = uint16_t;
  TESSERAE_INLINE static F32x8 load8(const Storage* p) {
    return f16_to_f32(load_bits128(p));
  }
  TESSERAE_INLINE static void store8(Storage* p, F32x8 v) {
    store_bits128(p, f32_to_f16(v));
  }
};

// bf16 in memory, f32 in the lanes; stores round to nearest, ties to even, and write NaN as quiet NaN.
struct Bfloat {
  using Storage = uint16_t;
  TESSERAE_INLINE static F32x8 load8(const Storage* p) {
    const Bits256 wide = u16_to_i32(load_bits128(p));
    return as_f32(shift_left_i32(wide, 16));
  }
  TESSERAE_INLINE static void store8(Storage* p, F32x8 v) {
    const Bits256 bits = bits_of(v);
    const Bits256 odd = bit_and(shift_right_u32(bits, 16), i32x8(1));
    const Bits256 rounded = add_i32(bits, add_i32(odd, i32x8(0x7fff)));
    const Bits256 quiet = bit_or(bits, i32x8(0x400000));
    const F32x8 is_nan = compare_unordered(v, v);
    const F32x8 chosen = blend(as_f32(rounded), as_f32(quiet), is_nan);
    store_bits128(p, i32_to_u16(shift_right_u32(bits_of(chosen), 16)));
  }
};

// Converts `count` < 8 elements through a full vector on the stack.
template <typename From, typename To>
inline void convert_few(const typename From::Storage* x, typename To::Storage* y, int64_t count) {
  typename From::Storage from[8] = {};
  typename To::Storage to[8];
  std::memcpy(from, x, sizeof(from[0]) * static_cast<size_t>(count));
  To::store8(to, From::load8(from));
  std::memcpy(y, to, sizeof(to[0]) * static_cast<size_t>(count));
}

template <typename From, typename To>
inline void convert_row(const typename From::Storage* x, typename To::Storage* y, int64_t columns) {
  int64_t column = 0;
  for (; column + 8 <= columns; column += 8) To::store8(y + column, From::load8(x + column));
  if (column < columns) convert_few<From, To>(x + column, y + column, columns - column);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
