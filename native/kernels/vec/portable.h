// The vector layer in plain C++, for any CPU and for WebAssembly: halves.h, and here what SSE2 has not in a few instructions.
// A fused multiplication and addition is emulated if the compiler may not use the CPU's, with the same bits. WebAssembly has
// one that an engine need not fuse; the loader of the module has it tried first (native/wasm). vec.h describes the names.
#pragma once

#ifdef __wasm__
#include <wasm_simd128.h>
#endif

#include "kernels/half.h"
#include "kernels/vec/halves.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

#if defined(__wasm_relaxed_simd__)
TESSERAE_INLINE F32x4 fma(F32x4 a, F32x4 b, F32x4 c) { return (F32x4)wasm_f32x4_relaxed_madd((v128_t)a, (v128_t)b, (v128_t)c); }
#elif defined(__FMA__) || defined(__ARM_FEATURE_FMA)
TESSERAE_INLINE F32x4 fma(F32x4 a, F32x4 b, F32x4 c) {
  return F32x4{__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]), __builtin_fmaf(a[2], b[2], c[2]),
               __builtin_fmaf(a[3], b[3], c[3])};
}
#else
// a · b + c of floats that are given as doubles, rounded to an odd last bit where it is not exact: rounding that to a
// float rounds once (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008). The product is exact.
TESSERAE_INLINE F64x2 fma_to_odd(F64x2 a, F64x2 b, F64x2 c) {
  const F64x2 product = a * b;
  const F64x2 sum = product + c;
  const F64x2 of_c = sum - product;
  const F64x2 error = (product - (sum - of_c)) + (c - of_c);  // NaN if the sum is infinite or NaN
  const auto bits = (U64x2)sum;
  const auto is_inexact = (U64x2)((error < 0.0) | (error > 0.0));
  // Where the last bit is even, one step towards the error: up in magnitude if it has the sign of the sum.
  const U64x2 step = 1 - (((U64x2)error ^ bits) >> 63 << 1);
  return (F64x2)(bits + (step & is_inexact & ((bits & 1) - 1)));
}
// Out of line: in every place where kernels use it, the emulation would make the set's code ten times as large.
[[gnu::noinline, gnu::const]] inline F32x4 fma(F32x4 a, F32x4 b, F32x4 c) {
  const F64x2 low = fma_to_odd(F64x2{a[0], a[1]}, F64x2{b[0], b[1]}, F64x2{c[0], c[1]});
  const F64x2 high = fma_to_odd(F64x2{a[2], a[3]}, F64x2{b[2], b[3]}, F64x2{c[2], c[3]});
  return F32x4{static_cast<float>(low[0]), static_cast<float>(low[1]), static_cast<float>(high[0]),
               static_cast<float>(high[1])};
}
#endif
#if defined(__wasm_relaxed_simd__)
TESSERAE_INLINE F64x2 fma(F64x2 a, F64x2 b, F64x2 c) { return (F64x2)wasm_f64x2_relaxed_madd((v128_t)a, (v128_t)b, (v128_t)c); }
#else
TESSERAE_INLINE F64x2 fma(F64x2 a, F64x2 b, F64x2 c) {
  return F64x2{__builtin_fma(a[0], b[0], c[0]), __builtin_fma(a[1], b[1], c[1])};
}
#endif

TESSERAE_INLINE float half_to_f32(uint16_t half) { return half_to_float(half); }
TESSERAE_INLINE uint16_t f32_to_half(float x) { return float_to_half(x); }
// Four halves in the lower bits of 32-bit lanes. Out of line, as fma.
[[gnu::noinline, gnu::const]] inline F32x4 f16_to_f32_lanes(Bits128 halves) {
  const Bits128 magnitude = halves & 0x7fff;
  const Bits128 bits = magnitude << 13;
  const F32x4 finite = (F32x4)bits * 0x1p112f;  // exact: also a subnormal half becomes a normal float
  const Bits128 quiet = (magnitude > 0x7c00) & 0x400000;
  const Bits128 value = magnitude > 0x7bff ? (bits + (224 << 23)) | quiet : (Bits128)finite;
  return (F32x4)(value | (Bits128)((U32x4)(halves & 0x8000) << 16));
}
TESSERAE_INLINE Bits128 f32_to_f16_lanes(F32x4 v) {
  return Bits128{float_to_half(v[0]), float_to_half(v[1]), float_to_half(v[2]), float_to_half(v[3])};
}

// Signed codes: each of the two products of 16 bits is at most 2^14.
constexpr DotKind kDot = DotKind::signed_quads;
#ifdef __wasm__
TESSERAE_INLINE Bits128 look_up_bytes(Bits128 table, Bits128 indexes) {
  return (Bits128)wasm_i8x16_swizzle((v128_t)table, wasm_v128_and((v128_t)indexes, wasm_i8x16_splat(15)));
}
TESSERAE_INLINE Bits128 dot_quad(Bits128 sum, Bits128 codes, Bits128 x) {
  const auto even = wasm_i32x4_dot_i16x8((v128_t)((I16x8)((U16x8)codes << 8) >> 8), (v128_t)((I16x8)((U16x8)x << 8) >> 8));
  const auto odd = wasm_i32x4_dot_i16x8((v128_t)((I16x8)codes >> 8), (v128_t)((I16x8)x >> 8));
  return (Bits128)((U32x4)sum + (U32x4)even + (U32x4)odd);
}
#else
TESSERAE_INLINE Bits128 look_up_bytes(Bits128 table, Bits128 indexes) {
  uint8_t entries[16], at[16];
  store_bits128(entries, table);
  store_bits128(at, indexes);
  for (uint8_t& byte : at) byte = entries[byte & 15];
  return load_bits128(at);
}

TESSERAE_INLINE Bits128 dot_quad(Bits128 sum, Bits128 codes, Bits128 x) {
  const I16x8 low = ((I16x8)((U16x8)codes << 8) >> 8) * ((I16x8)((U16x8)x << 8) >> 8);
  const auto pairs = (Bits128)(low + ((I16x8)codes >> 8) * ((I16x8)x >> 8));
  return sum + ((Bits128)((U32x4)pairs << 16) >> 16) + (pairs >> 16);
}
#endif

}  // namespace TESSERAE_ISA
}  // namespace tesserae

#include "kernels/vec/pairs.h"
