// Vectors of 256 bits made of two halves of 128 bits, for sets whose registers have 128 bits. Included at the end of
// portable.h and neon.h, which define the operations on halves. vec.h describes the names.
#pragma once

namespace tesserae {
inline namespace TESSERAE_ISA {

struct F32x8 {
  F32x4 low, high;
};
struct F64x4 {
  F64x2 low, high;
};
struct Bits256 {
  Bits128 low, high;
};

// An operation that is the same on both halves.
#define TESSERAE_UNARY(name, Vector) \
  TESSERAE_INLINE Vector name(Vector a) { return {name(a.low), name(a.high)}; }
#define TESSERAE_BINARY(name, Vector) \
  TESSERAE_INLINE Vector name(Vector a, Vector b) { return {name(a.low, b.low), name(a.high, b.high)}; }
#define TESSERAE_SHIFT(name) \
  TESSERAE_INLINE Bits256 name(Bits256 a, int n) { return {name(a.low, n), name(a.high, n)}; }

TESSERAE_INLINE F32x8 f32x8(float x) { return {f32x4(x), f32x4(x)}; }
TESSERAE_INLINE F32x8 f32x8(float a, float b, float c, float d, float e, float f, float g, float h) {
  return {F32x4{a, b, c, d}, F32x4{e, f, g, h}};
}
TESSERAE_INLINE F64x4 f64x4(double x) { return {f64x2(x), f64x2(x)}; }
TESSERAE_INLINE F64x4 f64x4(double a, double b, double c, double d) { return {F64x2{a, b}, F64x2{c, d}}; }
TESSERAE_INLINE Bits256 i8x32(int x) { return {i8x16(x), i8x16(x)}; }
TESSERAE_INLINE Bits256 i16x16(int x) { return {i16x8(x), i16x8(x)}; }
TESSERAE_INLINE Bits256 i32x8(int32_t x) { return {i32x4(x), i32x4(x)}; }
TESSERAE_INLINE Bits256 i32x8(int a, int b, int c, int d, int e, int f, int g, int h) {
  return {Bits128{a, b, c, d}, Bits128{e, f, g, h}};
}
TESSERAE_INLINE Bits256 i64x4(int64_t x) { return {i64x2(x, x), i64x2(x, x)}; }
TESSERAE_INLINE Bits256 i64x4(int64_t a, int64_t b, int64_t c, int64_t d) { return {i64x2(a, b), i64x2(c, d)}; }

TESSERAE_INLINE F32x8 broadcast_f32x8(const float* p) { return f32x8(*p); }
TESSERAE_INLINE F32x8 load_f32x8(const float* p) { return {load_f32x4(p), load_f32x4(p + 4)}; }
TESSERAE_INLINE F32x8 load_aligned_f32x8(const float* p) { return load_f32x8(p); }
TESSERAE_INLINE F64x4 load_f64x4(const double* p) { return {load_half<F64x2>(p), load_half<F64x2>(p + 2)}; }
TESSERAE_INLINE void store_f32x8(float* p, F32x8 v) {
  store_f32x4(p, v.low);
  store_f32x4(p + 4, v.high);
}
TESSERAE_INLINE void store_aligned_f32x8(float* p, F32x8 v) { store_f32x8(p, v); }
TESSERAE_INLINE void store_f64x4(double* p, F64x4 v) {
  store_half(p, v.low);
  store_half(p + 2, v.high);
}
TESSERAE_INLINE Bits256 load_bits256(const void* p) {
  return {load_bits128(p), load_bits128(static_cast<const unsigned char*>(p) + 16)};
}
TESSERAE_INLINE Bits256 load_aligned_bits256(const void* p) { return load_bits256(p); }
TESSERAE_INLINE void store_bits256(void* p, Bits256 v) {
  store_bits128(p, v.low);
  store_bits128(static_cast<unsigned char*>(p) + 16, v.high);
}
TESSERAE_INLINE void store_aligned_bits256(void* p, Bits256 v) { store_bits256(p, v); }
TESSERAE_INLINE F32x8 masked_load_f32x8(const float* p, Bits256 mask) {
  F32x8 v = f32x8(0);
  for (int i = 0; i < 4; ++i) {
    if (mask.low[i] < 0) v.low[i] = p[i];
    if (mask.high[i] < 0) v.high[i] = p[i + 4];
  }
  return v;
}
TESSERAE_INLINE void masked_store_f32x8(float* p, Bits256 mask, F32x8 v) {
  for (int i = 0; i < 4; ++i) {
    if (mask.low[i] < 0) p[i] = v.low[i];
    if (mask.high[i] < 0) p[i + 4] = v.high[i];
  }
}

TESSERAE_BINARY(add, F32x8)
TESSERAE_BINARY(sub, F32x8)
TESSERAE_BINARY(mul, F32x8)
TESSERAE_BINARY(div, F32x8)
TESSERAE_BINARY(max, F32x8)
TESSERAE_BINARY(min, F32x8)
TESSERAE_BINARY(add, F64x4)
TESSERAE_BINARY(sub, F64x4)
TESSERAE_BINARY(mul, F64x4)
TESSERAE_BINARY(div, F64x4)
TESSERAE_BINARY(min, F64x4)
TESSERAE_UNARY(round_down, F64x4)
TESSERAE_INLINE F64x4 operator+(F64x4 a, F64x4 b) { return add(a, b); }
TESSERAE_INLINE F64x4 operator-(F64x4 a, F64x4 b) { return sub(a, b); }
TESSERAE_INLINE F64x4 operator*(F64x4 a, F64x4 b) { return mul(a, b); }
TESSERAE_INLINE F64x4 operator/(F64x4 a, F64x4 b) { return div(a, b); }
TESSERAE_INLINE F32x8 fma(F32x8 a, F32x8 b, F32x8 c) { return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)}; }
TESSERAE_INLINE F32x8 fms(F32x8 a, F32x8 b, F32x8 c) { return fma(a, b, {-c.low, -c.high}); }
TESSERAE_INLINE F32x8 fnma(F32x8 a, F32x8 b, F32x8 c) { return fma({-a.low, -a.high}, b, c); }
TESSERAE_INLINE F64x4 fma(F64x4 a, F64x4 b, F64x4 c) { return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)}; }
TESSERAE_INLINE F64x4 fnma(F64x4 a, F64x4 b, F64x4 c) { return fma({-a.low, -a.high}, b, c); }
TESSERAE_INLINE void fma_in_place(F32x8& sum, F32x8 factor, F32x8 column) { sum = fma(factor, column, sum); }

TESSERAE_BINARY(compare_less, F32x8)
TESSERAE_BINARY(compare_equal, F32x8)
TESSERAE_BINARY(compare_at_least, F32x8)
TESSERAE_BINARY(compare_unordered, F32x8)
TESSERAE_BINARY(compare_less, F64x4)
TESSERAE_BINARY(compare_equal, F64x4)
TESSERAE_BINARY(compare_at_least, F64x4)
TESSERAE_INLINE F32x8 blend(F32x8 a, F32x8 b, F32x8 mask) {
  return {blend(a.low, b.low, mask.low), blend(a.high, b.high, mask.high)};
}
TESSERAE_INLINE F64x4 blend(F64x4 a, F64x4 b, F64x4 mask) {
  return {blend(a.low, b.low, mask.low), blend(a.high, b.high, mask.high)};
}
TESSERAE_INLINE int sign_bits(F32x8 v) { return sign_bits(v.low) | sign_bits(v.high) << 4; }
TESSERAE_INLINE int sign_bits(F64x4 v) { return sign_bits(v.low) | sign_bits(v.high) << 2; }

TESSERAE_UNARY(abs_i8, Bits256)
TESSERAE_UNARY(abs_i32, Bits256)
TESSERAE_BINARY(bit_and, Bits256)
TESSERAE_BINARY(bit_or, Bits256)
TESSERAE_BINARY(bit_xor, Bits256)
TESSERAE_BINARY(and_not, Bits256)
TESSERAE_BINARY(add_i8, Bits256)
TESSERAE_BINARY(add_i16, Bits256)
TESSERAE_BINARY(add_i32, Bits256)
TESSERAE_BINARY(add_i64, Bits256)
TESSERAE_BINARY(sub_i32, Bits256)
TESSERAE_BINARY(mul_i32, Bits256)
TESSERAE_BINARY(max_i32, Bits256)
TESSERAE_BINARY(min_i32, Bits256)
TESSERAE_BINARY(greater_i8, Bits256)
TESSERAE_BINARY(greater_i32, Bits256)
TESSERAE_BINARY(equal_i32, Bits256)
TESSERAE_SHIFT(shift_left_i16)
TESSERAE_SHIFT(shift_left_i32)
TESSERAE_SHIFT(shift_left_i64)
TESSERAE_SHIFT(shift_right_u16)
TESSERAE_SHIFT(shift_right_u32)
TESSERAE_SHIFT(shift_right_i32)
TESSERAE_INLINE Bits256 shift_right_by_u16(Bits256 a, int n) { return shift_right_u16(a, n); }
TESSERAE_INLINE Bits256 shift_right_by_u32(Bits256 a, int n) { return shift_right_u32(a, n); }
TESSERAE_BINARY(multiply_pairs_u8_i8, Bits256)
TESSERAE_BINARY(multiply_pairs_i16, Bits256)
TESSERAE_BINARY(with_sign_i8, Bits256)
TESSERAE_BINARY(interleave_low_i16, Bits256)
TESSERAE_BINARY(interleave_high_i16, Bits256)
TESSERAE_BINARY(interleave_low_i32, Bits256)
TESSERAE_BINARY(interleave_high_i32, Bits256)
TESSERAE_BINARY(interleave_low_i64, Bits256)
TESSERAE_BINARY(interleave_high_i64, Bits256)
TESSERAE_BINARY(pack_i32_to_i16, Bits256)
TESSERAE_BINARY(pack_i16_to_i8, Bits256)
TESSERAE_BINARY(look_up_bytes, Bits256)
TESSERAE_BINARY(low_pairs, F32x8)
TESSERAE_BINARY(high_pairs, F32x8)
TESSERAE_UNARY(swap_neighbours, F32x8)
TESSERAE_BINARY(interleave_low, F32x8)
TESSERAE_BINARY(interleave_high, F32x8)
TESSERAE_INLINE Bits256 dot_quad(Bits256 sum, Bits256 codes, Bits256 x) {
  return {dot_quad(sum.low, codes.low, x.low), dot_quad(sum.high, codes.high, x.high)};
}

TESSERAE_INLINE Bits256 bits_of(F32x8 v) { return {bits_of(v.low), bits_of(v.high)}; }
TESSERAE_INLINE Bits256 bits_of(F64x4 v) { return {bits_of(v.low), bits_of(v.high)}; }
TESSERAE_INLINE F32x8 as_f32(Bits256 v) { return {as_f32(v.low), as_f32(v.high)}; }
TESSERAE_INLINE F64x4 as_f64(Bits256 v) { return {as_f64(v.low), as_f64(v.high)}; }

// Bit operations on floats.
#define TESSERAE_BITS(name, Vector, as) \
  TESSERAE_INLINE Vector name(Vector a, Vector b) { return as(name(bits_of(a), bits_of(b))); }
TESSERAE_BITS(bit_and, F32x8, as_f32)
TESSERAE_BITS(bit_or, F32x8, as_f32)
TESSERAE_BITS(bit_xor, F32x8, as_f32)
TESSERAE_BITS(and_not, F32x8, as_f32)
TESSERAE_BITS(bit_and, F64x4, as_f64)
TESSERAE_BITS(bit_or, F64x4, as_f64)
TESSERAE_BITS(bit_xor, F64x4, as_f64)
TESSERAE_BITS(and_not, F64x4, as_f64)

TESSERAE_INLINE F32x8 i32_to_f32(Bits256 v) { return {i32_to_f32(v.low), i32_to_f32(v.high)}; }
TESSERAE_INLINE Bits256 f32_to_i32(F32x8 v) { return {f32_to_i32(v.low), f32_to_i32(v.high)}; }
TESSERAE_INLINE F64x4 f32_to_f64(F32x4 v) { return {F64x2{v[0], v[1]}, F64x2{v[2], v[3]}}; }
TESSERAE_INLINE F32x4 f64_to_f32(F64x4 v) {
  return F32x4{static_cast<float>(v.low[0]), static_cast<float>(v.low[1]), static_cast<float>(v.high[0]),
               static_cast<float>(v.high[1])};
}
TESSERAE_INLINE Bits128 f64_to_i32_towards_0(F64x4 v) {
  return Bits128{static_cast<int32_t>(v.low[0]), static_cast<int32_t>(v.low[1]), static_cast<int32_t>(v.high[0]),
                 static_cast<int32_t>(v.high[1])};
}
TESSERAE_INLINE Bits256 u16_to_i32(Bits128 v) {
  return {interleave_low_i16(v, i32x4(0)), interleave_high_i16(v, i32x4(0))};
}
TESSERAE_INLINE Bits256 u32_to_i64(Bits128 v) {
  return {interleave_low_i32(v, i32x4(0)), interleave_high_i32(v, i32x4(0))};
}
// Each byte four times, of which the shift keeps the highest.
TESSERAE_INLINE Bits256 repeated_bytes(Bits128 v) {
  const Bits128 twice = interleave_low_i8(v, v);
  return {interleave_low_i16(twice, twice), interleave_high_i16(twice, twice)};
}
TESSERAE_INLINE Bits256 u8_to_i32(Bits128 v) { return shift_right_u32(repeated_bytes(v), 24); }
TESSERAE_INLINE Bits256 i8_to_i32(Bits128 v) { return shift_right_i32(repeated_bytes(v), 24); }
TESSERAE_INLINE Bits128 i32_to_u16(Bits256 v) { return pack_i32_to_i16(v.low, v.high); }
TESSERAE_INLINE Bits128 i32_to_u8(Bits256 v) {
  const Bits128 words = pack_i32_to_i16(v.low, v.high);
  return pack_i16_to_i8(words, words);
}
TESSERAE_INLINE Bits128 i32_to_i8(Bits256 v) { return i32_to_u8(v); }
TESSERAE_INLINE F32x8 f16_to_f32(Bits128 v) {
  const Bits256 lanes = u16_to_i32(v);
  return {f16_to_f32_lanes(lanes.low), f16_to_f32_lanes(lanes.high)};
}
TESSERAE_INLINE F32x4 f16_to_f32_low(Bits128 v) { return f16_to_f32_lanes(u16_to_i32(v).low); }
TESSERAE_INLINE Bits128 f32_to_f16(F32x8 v) { return i32_to_u16({f32_to_f16_lanes(v.low), f32_to_f16_lanes(v.high)}); }

TESSERAE_INLINE F32x4 low_half(F32x8 v) { return v.low; }
TESSERAE_INLINE F32x4 high_half(F32x8 v) { return v.high; }
TESSERAE_INLINE Bits128 low_half(Bits256 v) { return v.low; }
TESSERAE_INLINE Bits128 high_half(Bits256 v) { return v.high; }
TESSERAE_INLINE F32x8 join(F32x4 low, F32x4 high) { return {low, high}; }
TESSERAE_INLINE Bits256 in_both_halves(Bits128 v) { return {v, v}; }
TESSERAE_INLINE F32x8 low_halves(F32x8 a, F32x8 b) { return {a.low, b.low}; }
TESSERAE_INLINE F32x8 high_halves(F32x8 a, F32x8 b) { return {a.high, b.high}; }
TESSERAE_INLINE Bits256 permute_i32(Bits256 v, Bits256 order) {
  int32_t lanes[8], at[8];
  store_bits256(lanes, v);
  store_bits256(at, order);
  for (int32_t& lane : at) lane = lanes[lane & 7];
  return load_bits256(at);
}

TESSERAE_INLINE float sum_lanes(F32x8 v) {
  const F32x4 s = v.low + v.high;
  return (s[0] + s[2]) + (s[1] + s[3]);
}
TESSERAE_INLINE double sum_lanes(F64x4 v) {
  const F64x2 s = v.low + v.high;
  return s[0] + s[1];
}
TESSERAE_INLINE float max_lanes(F32x8 v) {
  const F32x4 m = max(v.low, v.high);
  const float even = m[0] > m[2] ? m[0] : m[2];
  const float odd = m[1] > m[3] ? m[1] : m[3];
  return even > odd ? even : odd;
}
TESSERAE_INLINE int32_t sum_lanes_i32(Bits256 v) {
  const Bits128 s = v.low + v.high;
  return (s[0] + s[2]) + (s[1] + s[3]);
}
TESSERAE_INLINE float f32_of_largest_i32(Bits256 v) {
  const Bits128 m = max_i32(v.low, v.high);
  const int32_t even = m[0] > m[2] ? m[0] : m[2];
  const int32_t odd = m[1] > m[3] ? m[1] : m[3];
  const int32_t largest = even > odd ? even : odd;
  float value;
  std::memcpy(&value, &largest, 4);
  return value;
}

// Nothing to do: see avx2.h.
TESSERAE_INLINE void keep_in_register(Bits256&) {}
TESSERAE_INLINE void keep_in_register(F64x4&) {}

#undef TESSERAE_UNARY
#undef TESSERAE_BINARY
#undef TESSERAE_SHIFT
#undef TESSERAE_BITS

}  // namespace TESSERAE_ISA
}  // namespace tesserae
