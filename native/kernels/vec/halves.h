// Halves of vectors, 128 bits, by the vector extensions of GCC and Clang: compilers turn them into SSE2 or NEON. The
// operations that both have in one or two instructions; portable.h and neon.h add the others, and pairs.h makes vectors
// of two halves. vec.h describes the names.
#pragma once

#include <cstdint>
#include <cstring>

namespace tesserae {
inline namespace TESSERAE_ISA {

typedef float F32x4 __attribute__((vector_size(16)));
typedef double F64x2 __attribute__((vector_size(16)));
typedef int32_t Bits128 __attribute__((vector_size(16)));

// The same bits with other lanes.
typedef int8_t I8x16 __attribute__((vector_size(16)));
typedef uint8_t U8x16 __attribute__((vector_size(16)));
typedef int16_t I16x8 __attribute__((vector_size(16)));
typedef uint16_t U16x8 __attribute__((vector_size(16)));
typedef uint32_t U32x4 __attribute__((vector_size(16)));
typedef int64_t I64x2 __attribute__((vector_size(16)));
typedef uint64_t U64x2 __attribute__((vector_size(16)));

// Lanes of a and b by their numbers; those of b follow those of a. `Lanes` is the type of the list.
#if defined(__clang__)
#define TESSERAE_SHUFFLE(Lanes, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define TESSERAE_SHUFFLE(Lanes, a, b, ...) __builtin_shuffle(a, b, Lanes{__VA_ARGS__})
#endif

template <typename Vector>
TESSERAE_INLINE Vector load_half(const void* p) {
  Vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <typename Vector>
TESSERAE_INLINE void store_half(void* p, Vector v) {
  std::memcpy(p, &v, sizeof v);
}

TESSERAE_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
TESSERAE_INLINE void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }  // into L2

TESSERAE_INLINE F32x4 f32x4(float x) { return F32x4{x, x, x, x}; }
TESSERAE_INLINE F64x2 f64x2(double x) { return F64x2{x, x}; }
TESSERAE_INLINE Bits128 i8x16(int x) {
  const auto b = static_cast<int8_t>(x);
  return (Bits128)(I8x16{b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b});
}
TESSERAE_INLINE Bits128 i16x8(int x) {
  const auto w = static_cast<int16_t>(x);
  return (Bits128)(I16x8{w, w, w, w, w, w, w, w});
}
TESSERAE_INLINE Bits128 i32x4(int32_t x) { return Bits128{x, x, x, x}; }
TESSERAE_INLINE Bits128 i64x2(int64_t a, int64_t b) { return (Bits128)(I64x2{a, b}); }

TESSERAE_INLINE F32x4 load_f32x4(const float* p) { return load_half<F32x4>(p); }
TESSERAE_INLINE void store_f32x4(float* p, F32x4 v) { store_half(p, v); }
TESSERAE_INLINE Bits128 load_bits128(const void* p) { return load_half<Bits128>(p); }
TESSERAE_INLINE void store_bits128(void* p, Bits128 v) { store_half(p, v); }
TESSERAE_INLINE Bits128 load_bits64(const void* p) {
  int64_t bits;
  std::memcpy(&bits, p, 8);
  return i64x2(bits, 0);
}
TESSERAE_INLINE void store_bits64(void* p, Bits128 v) { std::memcpy(p, &v, 8); }

TESSERAE_INLINE F32x4 add(F32x4 a, F32x4 b) { return a + b; }
TESSERAE_INLINE F32x4 sub(F32x4 a, F32x4 b) { return a - b; }
TESSERAE_INLINE F32x4 mul(F32x4 a, F32x4 b) { return a * b; }
TESSERAE_INLINE F32x4 div(F32x4 a, F32x4 b) { return a / b; }
TESSERAE_INLINE F32x4 max(F32x4 a, F32x4 b) { return a > b ? a : b; }
TESSERAE_INLINE F32x4 min(F32x4 a, F32x4 b) { return a < b ? a : b; }
TESSERAE_INLINE F64x2 add(F64x2 a, F64x2 b) { return a + b; }
TESSERAE_INLINE F64x2 sub(F64x2 a, F64x2 b) { return a - b; }
TESSERAE_INLINE F64x2 mul(F64x2 a, F64x2 b) { return a * b; }
TESSERAE_INLINE F64x2 div(F64x2 a, F64x2 b) { return a / b; }
TESSERAE_INLINE F64x2 min(F64x2 a, F64x2 b) { return a < b ? a : b; }
TESSERAE_INLINE F64x2 round_down(F64x2 a) { return F64x2{__builtin_floor(a[0]), __builtin_floor(a[1])}; }

TESSERAE_INLINE F32x4 compare_less(F32x4 a, F32x4 b) { return (F32x4)(a < b); }
TESSERAE_INLINE F32x4 compare_equal(F32x4 a, F32x4 b) { return (F32x4)(a == b); }
TESSERAE_INLINE F32x4 compare_at_least(F32x4 a, F32x4 b) { return (F32x4)(a >= b); }
TESSERAE_INLINE F32x4 compare_unordered(F32x4 a, F32x4 b) { return (F32x4)((a != a) | (b != b)); }
TESSERAE_INLINE F64x2 compare_less(F64x2 a, F64x2 b) { return (F64x2)(a < b); }
TESSERAE_INLINE F64x2 compare_equal(F64x2 a, F64x2 b) { return (F64x2)(a == b); }
TESSERAE_INLINE F64x2 compare_at_least(F64x2 a, F64x2 b) { return (F64x2)(a >= b); }
TESSERAE_INLINE F32x4 blend(F32x4 a, F32x4 b, F32x4 mask) { return (Bits128)mask < 0 ? b : a; }
TESSERAE_INLINE F64x2 blend(F64x2 a, F64x2 b, F64x2 mask) { return (I64x2)mask < 0 ? b : a; }
TESSERAE_INLINE int sign_bits(F32x4 v) {
  const auto bits = (I64x2)(((Bits128)v < 0) & Bits128{1, 2, 4, 8});
  const int64_t two = bits[0] | bits[1];
  return static_cast<int>((two | two >> 32) & 15);
}
TESSERAE_INLINE int sign_bits(F64x2 v) {
  const auto bits = (U64x2)v >> 63;
  return static_cast<int>(bits[0] | bits[1] << 1);
}

TESSERAE_INLINE Bits128 bit_and(Bits128 a, Bits128 b) { return a & b; }
TESSERAE_INLINE Bits128 bit_or(Bits128 a, Bits128 b) { return a | b; }
TESSERAE_INLINE Bits128 bit_xor(Bits128 a, Bits128 b) { return a ^ b; }
TESSERAE_INLINE Bits128 and_not(Bits128 a, Bits128 b) { return ~a & b; }
TESSERAE_INLINE F32x4 bit_xor(F32x4 a, F32x4 b) { return (F32x4)((Bits128)a ^ (Bits128)b); }

TESSERAE_INLINE Bits128 add_i8(Bits128 a, Bits128 b) { return (Bits128)((U8x16)a + (U8x16)b); }
TESSERAE_INLINE Bits128 add_i16(Bits128 a, Bits128 b) { return (Bits128)((U16x8)a + (U16x8)b); }
TESSERAE_INLINE Bits128 add_i32(Bits128 a, Bits128 b) { return (Bits128)((U32x4)a + (U32x4)b); }
TESSERAE_INLINE Bits128 add_i64(Bits128 a, Bits128 b) { return (Bits128)((U64x2)a + (U64x2)b); }
TESSERAE_INLINE Bits128 sub_i32(Bits128 a, Bits128 b) { return (Bits128)((U32x4)a - (U32x4)b); }
TESSERAE_INLINE Bits128 mul_i32(Bits128 a, Bits128 b) { return (Bits128)((U32x4)a * (U32x4)b); }
TESSERAE_INLINE Bits128 max_i32(Bits128 a, Bits128 b) { return a > b ? a : b; }
TESSERAE_INLINE Bits128 min_i32(Bits128 a, Bits128 b) { return a < b ? a : b; }
TESSERAE_INLINE Bits128 abs_i8(Bits128 a) {
  const auto negative = (U8x16)((I8x16)a < 0);  // -1 where it is
  return (Bits128)(((U8x16)a ^ negative) - negative);
}
TESSERAE_INLINE Bits128 abs_i32(Bits128 a) {
  const auto negative = (U32x4)(a < 0);
  return (Bits128)(((U32x4)a ^ negative) - negative);
}
TESSERAE_INLINE Bits128 greater_i8(Bits128 a, Bits128 b) { return (Bits128)((I8x16)a > (I8x16)b); }
TESSERAE_INLINE Bits128 greater_i32(Bits128 a, Bits128 b) { return a > b; }
TESSERAE_INLINE Bits128 equal_i32(Bits128 a, Bits128 b) { return a == b; }
TESSERAE_INLINE Bits128 shift_left_i16(Bits128 a, int n) { return (Bits128)((U16x8)a << n); }
TESSERAE_INLINE Bits128 shift_left_i32(Bits128 a, int n) { return (Bits128)((U32x4)a << n); }
TESSERAE_INLINE Bits128 shift_left_i64(Bits128 a, int n) { return (Bits128)((U64x2)a << n); }
TESSERAE_INLINE Bits128 shift_right_u16(Bits128 a, int n) { return (Bits128)((U16x8)a >> n); }
TESSERAE_INLINE Bits128 shift_right_u32(Bits128 a, int n) { return (Bits128)((U32x4)a >> n); }
TESSERAE_INLINE Bits128 shift_right_i32(Bits128 a, int n) { return a >> n; }
// Pairs of products as AVX2 adds them, but exact: callers keep within 16 bits.
TESSERAE_INLINE Bits128 multiply_pairs_u8_i8(Bits128 a, Bits128 b) {
  const auto low = ((I16x8)a & 255) * ((I16x8)((U16x8)b << 8) >> 8);
  return (Bits128)(low + (I16x8)((U16x8)a >> 8) * ((I16x8)b >> 8));
}
TESSERAE_INLINE Bits128 multiply_pairs_i16(Bits128 a, Bits128 b) {
  const Bits128 low = ((Bits128)((U32x4)a << 16) >> 16) * ((Bits128)((U32x4)b << 16) >> 16);
  return low + (a >> 16) * (b >> 16);
}
TESSERAE_INLINE Bits128 with_sign_i8(Bits128 a, Bits128 sign) {
  const auto negative = (U8x16)((I8x16)sign < 0);
  const auto kept = ((U8x16)a ^ negative) - negative;
  return (Bits128)(kept & (U8x16)((I8x16)sign != 0));
}

TESSERAE_INLINE Bits128 bits_of(F32x4 v) { return (Bits128)v; }
TESSERAE_INLINE Bits128 bits_of(F64x2 v) { return (Bits128)v; }
TESSERAE_INLINE F32x4 as_f32(Bits128 v) { return (F32x4)v; }
TESSERAE_INLINE F64x2 as_f64(Bits128 v) { return (F64x2)v; }

TESSERAE_INLINE F32x4 i32_to_f32(Bits128 v) { return __builtin_convertvector(v, F32x4); }
// To nearest: adding 1.5 · 2^23 leaves the integer in the low bits.
TESSERAE_INLINE Bits128 f32_to_i32(F32x4 v) { return (Bits128)(v + f32x4(0x1.8p23f)) - (Bits128)f32x4(0x1.8p23f); }

TESSERAE_INLINE F32x4 low_pairs(F32x4 a, F32x4 b) { return TESSERAE_SHUFFLE(Bits128, a, b, 0, 1, 4, 5); }
TESSERAE_INLINE F32x4 high_pairs(F32x4 a, F32x4 b) { return TESSERAE_SHUFFLE(Bits128, a, b, 2, 3, 6, 7); }
TESSERAE_INLINE F32x4 swap_neighbours(F32x4 v) { return TESSERAE_SHUFFLE(Bits128, v, v, 1, 0, 3, 2); }
TESSERAE_INLINE F32x4 interleave_low(F32x4 a, F32x4 b) { return TESSERAE_SHUFFLE(Bits128, a, b, 0, 4, 1, 5); }
TESSERAE_INLINE F32x4 interleave_high(F32x4 a, F32x4 b) { return TESSERAE_SHUFFLE(Bits128, a, b, 2, 6, 3, 7); }
TESSERAE_INLINE Bits128 interleave_low_i8(Bits128 a, Bits128 b) {
  return (Bits128)TESSERAE_SHUFFLE(I8x16, (I8x16)a, (I8x16)b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
TESSERAE_INLINE Bits128 interleave_low_i16(Bits128 a, Bits128 b) {
  return (Bits128)TESSERAE_SHUFFLE(I16x8, (I16x8)a, (I16x8)b, 0, 8, 1, 9, 2, 10, 3, 11);
}
TESSERAE_INLINE Bits128 interleave_high_i16(Bits128 a, Bits128 b) {
  return (Bits128)TESSERAE_SHUFFLE(I16x8, (I16x8)a, (I16x8)b, 4, 12, 5, 13, 6, 14, 7, 15);
}
TESSERAE_INLINE Bits128 interleave_low_i32(Bits128 a, Bits128 b) { return TESSERAE_SHUFFLE(Bits128, a, b, 0, 4, 1, 5); }
TESSERAE_INLINE Bits128 interleave_high_i32(Bits128 a, Bits128 b) { return TESSERAE_SHUFFLE(Bits128, a, b, 2, 6, 3, 7); }
TESSERAE_INLINE Bits128 interleave_low_i64(Bits128 a, Bits128 b) { return TESSERAE_SHUFFLE(Bits128, a, b, 0, 1, 4, 5); }
TESSERAE_INLINE Bits128 interleave_high_i64(Bits128 a, Bits128 b) { return TESSERAE_SHUFFLE(Bits128, a, b, 2, 3, 6, 7); }
// The lower halves of the lanes of a, then of b: integers that fit.
TESSERAE_INLINE Bits128 pack_i32_to_i16(Bits128 a, Bits128 b) {
  return (Bits128)TESSERAE_SHUFFLE(I16x8, (I16x8)a, (I16x8)b, 0, 2, 4, 6, 8, 10, 12, 14);
}
TESSERAE_INLINE Bits128 pack_i16_to_i8(Bits128 a, Bits128 b) {
  return (Bits128)TESSERAE_SHUFFLE(I8x16, (I8x16)a, (I8x16)b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
TESSERAE_INLINE F32x4 broadcast_first(F32x4 v) { return f32x4(v[0]); }
TESSERAE_INLINE Bits128 first_lane_from(Bits128 first, Bits128 others) {
  return TESSERAE_SHUFFLE(Bits128, first, others, 0, 5, 6, 7);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
