// Vectors of 512 bits made of two halves of 256 bits, for sets whose registers are shorter: avx512.h has them in one
// register. Included at the end of vec.h, which describes the names.
#pragma once

namespace tesserae {
inline namespace TESSERAE_ISA {

struct F32x16 {
  F32x8 low, high;
};
struct Bits512 {
  Bits256 low, high;
};
using Mask16 = F32x16;  // all bits of the lanes that are set

// The widest vectors with instructions of their own, and the number of registers for them.
using Floats = F32x8;
using Doubles = F64x4;
using DoublesMask = F64x4;
constexpr int kRegisters = 16;

#define TESSERAE_BINARY(name, Result, Vector) \
  TESSERAE_INLINE Result name(Vector a, Vector b) { return {name(a.low, b.low), name(a.high, b.high)}; }
#define TESSERAE_SHIFT(name) \
  TESSERAE_INLINE Bits512 name(Bits512 a, int n) { return {name(a.low, n), name(a.high, n)}; }

TESSERAE_INLINE F32x16 f32x16(float x) { return {f32x8(x), f32x8(x)}; }
TESSERAE_INLINE Bits512 i32x16(int32_t x) { return {i32x8(x), i32x8(x)}; }

TESSERAE_INLINE F32x16 broadcast_f32x16(const float* p) {
  const F32x8 v = broadcast_f32x8(p);
  return {v, v};
}
TESSERAE_INLINE F32x16 load_f32x16(const float* p) { return {load_f32x8(p), load_f32x8(p + 8)}; }
TESSERAE_INLINE F32x16 load_aligned_f32x16(const float* p) { return {load_aligned_f32x8(p), load_aligned_f32x8(p + 8)}; }
TESSERAE_INLINE void store_f32x16(float* p, F32x16 v) {
  store_f32x8(p, v.low);
  store_f32x8(p + 8, v.high);
}
TESSERAE_INLINE void store_aligned_f32x16(float* p, F32x16 v) {
  store_aligned_f32x8(p, v.low);
  store_aligned_f32x8(p + 8, v.high);
}
TESSERAE_INLINE Mask16 first_lanes16(int64_t count) { return {as_f32(first_lanes(count)), as_f32(first_lanes(count - 8))}; }
TESSERAE_INLINE F32x16 masked_load_f32x16(const float* p, Mask16 mask) {
  return {masked_load_f32x8(p, bits_of(mask.low)), masked_load_f32x8(p + 8, bits_of(mask.high))};
}
TESSERAE_INLINE void masked_store_f32x16(float* p, Mask16 mask, F32x16 v) {
  masked_store_f32x8(p, bits_of(mask.low), v.low);
  masked_store_f32x8(p + 8, bits_of(mask.high), v.high);
}

TESSERAE_BINARY(add, F32x16, F32x16)
TESSERAE_BINARY(sub, F32x16, F32x16)
TESSERAE_BINARY(mul, F32x16, F32x16)
TESSERAE_BINARY(div, F32x16, F32x16)
TESSERAE_BINARY(max, F32x16, F32x16)
TESSERAE_BINARY(min, F32x16, F32x16)
TESSERAE_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)}; }
TESSERAE_INLINE F32x16 fms(F32x16 a, F32x16 b, F32x16 c) { return {fms(a.low, b.low, c.low), fms(a.high, b.high, c.high)}; }
TESSERAE_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) {
  return {fnma(a.low, b.low, c.low), fnma(a.high, b.high, c.high)};
}
TESSERAE_INLINE void fma_in_place(F32x16& sum, F32x16 factor, F32x16 column) {
  fma_in_place(sum.low, factor.low, column.low);
  fma_in_place(sum.high, factor.high, column.high);
}
TESSERAE_INLINE void fma_in_place(F32x16& sum, const float* factor, F32x16 column) {
  fma_in_place(sum, broadcast_f32x16(factor), column);
}

TESSERAE_BINARY(compare_less, Mask16, F32x16)
TESSERAE_BINARY(compare_equal, Mask16, F32x16)
TESSERAE_BINARY(compare_at_least, Mask16, F32x16)
TESSERAE_BINARY(compare_unordered, Mask16, F32x16)
TESSERAE_INLINE F32x16 blend(F32x16 a, F32x16 b, Mask16 mask) {
  return {blend(a.low, b.low, mask.low), blend(a.high, b.high, mask.high)};
}
TESSERAE_INLINE int sign_bits(F32x16 v) { return sign_bits(v.low) | sign_bits(v.high) << 8; }

TESSERAE_BINARY(bit_and, F32x16, F32x16)
TESSERAE_BINARY(bit_or, F32x16, F32x16)
TESSERAE_BINARY(bit_xor, F32x16, F32x16)
TESSERAE_BINARY(and_not, F32x16, F32x16)
TESSERAE_BINARY(bit_and, Bits512, Bits512)
TESSERAE_BINARY(bit_or, Bits512, Bits512)
TESSERAE_BINARY(add_i32, Bits512, Bits512)
TESSERAE_BINARY(sub_i32, Bits512, Bits512)
TESSERAE_SHIFT(shift_left_i32)
TESSERAE_SHIFT(shift_right_u32)
TESSERAE_SHIFT(shift_right_i32)
TESSERAE_INLINE Bits512 bits_of(F32x16 v) { return {bits_of(v.low), bits_of(v.high)}; }
TESSERAE_INLINE F32x16 as_f32(Bits512 v) { return {as_f32(v.low), as_f32(v.high)}; }

TESSERAE_INLINE F32x16 i32_to_f32(Bits512 v) { return {i32_to_f32(v.low), i32_to_f32(v.high)}; }
TESSERAE_INLINE F32x16 f16_to_f32(Bits256 v) { return {f16_to_f32(low_half(v)), f16_to_f32(high_half(v))}; }
TESSERAE_INLINE Bits512 u16_to_i32(Bits256 v) { return {u16_to_i32(low_half(v)), u16_to_i32(high_half(v))}; }

TESSERAE_INLINE F32x8 low_half(F32x16 v) { return v.low; }
TESSERAE_INLINE F32x8 high_half(F32x16 v) { return v.high; }
TESSERAE_INLINE F32x16 join(F32x8 low, F32x8 high) { return {low, high}; }
TESSERAE_BINARY(low_pairs, F32x16, F32x16)
TESSERAE_BINARY(high_pairs, F32x16, F32x16)
TESSERAE_BINARY(interleave_low, F32x16, F32x16)
TESSERAE_BINARY(interleave_high, F32x16, F32x16)
TESSERAE_INLINE F32x16 swap_neighbours(F32x16 v) { return {swap_neighbours(v.low), swap_neighbours(v.high)}; }
TESSERAE_INLINE F32x16 even_quarters(F32x16 a, F32x16 b) { return {low_halves(a.low, a.high), low_halves(b.low, b.high)}; }
TESSERAE_INLINE F32x16 odd_quarters(F32x16 a, F32x16 b) { return {high_halves(a.low, a.high), high_halves(b.low, b.high)}; }

// Doubles, four: the same functions as for eight in avx512.h.
TESSERAE_INLINE Doubles doubles(double x) { return f64x4(x); }
TESSERAE_INLINE Doubles double_numbers() { return f64x4(0, 1, 2, 3); }
TESSERAE_INLINE Doubles load_doubles(const double* p) { return load_f64x4(p); }
TESSERAE_INLINE Doubles load_doubles(const float* p) { return f32_to_f64(load_f32x4(p)); }
TESSERAE_INLINE void store_doubles(double* p, Doubles v) { store_f64x4(p, v); }
TESSERAE_INLINE void store_as_i32(int32_t* p, Doubles v) { store_bits128(p, f64_to_i32_towards_0(v)); }
TESSERAE_INLINE Doubles mul_power_of_2(Doubles x, Doubles n) {
  // Added to 2^52, the biased exponent is in the lowest bits.
  const Doubles biased = add(n, f64x4(0x1p52 + 1023));
  return mul(x, as_f64(shift_left_i64(bits_of(biased), 52)));
}
TESSERAE_INLINE Bits256 load_u32_as_i64(const float* p) { return u32_to_i64(bits_of(load_f32x4(p))); }
TESSERAE_INLINE Bits256 numbers_i64(int64_t first) { return add_i64(i64x4(first), i64x4(0, 1, 2, 3)); }
TESSERAE_INLINE void store_compressed_i64(void* p, DoublesMask mask, Bits256 v) {
  // For each set of lanes the dwords of its lanes, in order.
  alignas(32) static constexpr int32_t kOrder[16][8] = {
      {0, 0, 0, 0, 0, 0, 0, 0}, {0, 1, 0, 0, 0, 0, 0, 0}, {2, 3, 0, 0, 0, 0, 0, 0}, {0, 1, 2, 3, 0, 0, 0, 0},
      {4, 5, 0, 0, 0, 0, 0, 0}, {0, 1, 4, 5, 0, 0, 0, 0}, {2, 3, 4, 5, 0, 0, 0, 0}, {0, 1, 2, 3, 4, 5, 0, 0},
      {6, 7, 0, 0, 0, 0, 0, 0}, {0, 1, 6, 7, 0, 0, 0, 0}, {2, 3, 6, 7, 0, 0, 0, 0}, {0, 1, 2, 3, 6, 7, 0, 0},
      {4, 5, 6, 7, 0, 0, 0, 0}, {0, 1, 4, 5, 6, 7, 0, 0}, {2, 3, 4, 5, 6, 7, 0, 0}, {0, 1, 2, 3, 4, 5, 6, 7}};
  store_bits256(p, permute_i32(v, load_aligned_bits256(kOrder[sign_bits(mask)])));
}
// The lanes of eight floats whose bits are set.
TESSERAE_INLINE F32x8 mask_of(uint32_t bits) {
  const Bits256 lane_bits = i32x8(1, 2, 4, 8, 16, 32, 64, 128);
  return as_f32(equal_i32(bit_and(i32x8(static_cast<int>(bits)), lane_bits), lane_bits));
}

#undef TESSERAE_BINARY
#undef TESSERAE_SHIFT

}  // namespace TESSERAE_ISA
}  // namespace tesserae
