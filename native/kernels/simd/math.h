// exp, tanh, sigmoid and the activations on eight floats, accurate to a few units in the last place over the whole
// range, with gradual underflow, infinities and NaN (bounds: native/test/activation_test.cpp). No doubles. Lanes are
// independent, so that a lane's bits do not depend on the vector. Included by the vector kernels only.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/vec/vec.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// The polynomials below are minimax fits made for this file.

TESSERAE_INLINE F32x8 abs8(F32x8 x) { return and_not(f32x8(-0.0f), x); }

// min and max return their second operand if either is NaN, so that these clamps keep a NaN in x.
TESSERAE_INLINE F32x8 at_most8(float limit, F32x8 x) { return min(f32x8(limit), x); }
TESSERAE_INLINE F32x8 at_least8(float limit, F32x8 x) { return max(f32x8(limit), x); }

// exp(x) = fraction · scale1 · scale2, with the fraction in [0.7, 1.42]; the scales are powers of two and normal
// numbers. They are multiplied last, one after the other, so that a denormal result is rounded only once.
struct ExpParts8 {
  F32x8 fraction;
  F32x8 scale1;
  F32x8 scale2;
};

// x in [-120, 89] or NaN. x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) = 1 + r + r² · polynomial, error 2^-28.
TESSERAE_INLINE ExpParts8 exp_parts8(F32x8 x) {
  const F32x8 round_to_integer = f32x8(0x1.8p23f);  // adding it rounds to an integer, in the low bits
  const F32x8 shifted = fma(x, f32x8(0x1.715476p+0f), round_to_integer);
  const F32x8 n = sub(shifted, round_to_integer);
  F32x8 r = fnma(n, f32x8(0x1.62e43p-1f), x);
  r = fma(n, f32x8(0x1.05c61p-29f), r);
  F32x8 p = f32x8(0x1.6a23cep-10f);
  p = fma(p, r, f32x8(0x1.123a20p-7f));
  p = fma(p, r, f32x8(0x1.5558f2p-5f));
  p = fma(p, r, f32x8(0x1.555492p-3f));
  p = fma(p, r, f32x8(0x1.fffffcp-2f));
  p = fma(p, mul(r, r), r);

  const Bits256 integer =
      sub_i32(bits_of(shifted), bits_of(round_to_integer));
  const Bits256 half = shift_right_i32(integer, 1);
  const Bits256 rest = sub_i32(integer, half);
  const Bits256 bias = i32x8(127);
  return {add(f32x8(1.0f), p),
          as_f32(shift_left_i32(add_i32(half, bias), 23)),
          as_f32(shift_left_i32(add_i32(rest, bias), 23))};
}

TESSERAE_INLINE F32x8 exp8(F32x8 x) {
  const ExpParts8 e = exp_parts8(at_least8(-120.0f, at_most8(89.0f, x)));
  return mul(mul(e.fraction, e.scale1), e.scale2);
}

// |x| < 0.625: x + x³ · polynomial(x²), error 2^-27; beyond: 1 - 2 / (exp(2|x|) + 1).
TESSERAE_INLINE F32x8 tanh8(F32x8 x) {
  const F32x8 t = abs8(x);
  const F32x8 one = f32x8(1.0f);
  const F32x8 two = f32x8(2.0f);
  const F32x8 square = mul(t, t);
  F32x8 p = f32x8(-0x1.75e1a8p-8f);
  p = fma(p, square, f32x8(0x1.522692p-6f));
  p = fma(p, square, f32x8(-0x1.b83c58p-5f));
  p = fma(p, square, f32x8(0x1.110726p-3f));
  p = fma(p, square, f32x8(-0x1.555532p-2f));
  const F32x8 small = fma(mul(p, square), t, t);
  const F32x8 large =
      sub(one, div(two, add(exp8(mul(two, t)), one)));
  const F32x8 is_small = compare_less(t, f32x8(0.625f));
  const F32x8 sign = bit_and(x, f32x8(-0.0f));
  return bit_or(blend(large, small, is_small), sign);
}

// 1 / (1 + z) for x >= 0 and z / (1 + z) for x < 0, with z = exp(-|x|): no overflow, and a full-precision tail.
TESSERAE_INLINE F32x8 sigmoid8(F32x8 x) {
  const F32x8 one = f32x8(1.0f);
  const F32x8 z = exp8(bit_or(x, f32x8(-0.0f)));
  return div(blend(one, z, x), add(one, z));
}

// silu, gelu and gelu_tanh are x · F(x) with F(x) + F(-x) = 1. They compute `tail` = x · F(-|x|). The result is `tail`
// for negative x and x - tail for others: no cancellation on either side. At -infinity the result is -0, the limit,
// not the NaN of -infinity · 0.
TESSERAE_INLINE F32x8 gate8(F32x8 x, F32x8 tail) { return blend(sub(x, tail), tail, x); }

TESSERAE_INLINE F32x8 silu8(F32x8 x) {
  const F32x8 one = f32x8(1.0f);
  const F32x8 sign = f32x8(-0.0f);
  const F32x8 t = at_most8(120.0f, abs8(x));
  const ExpParts8 e = exp_parts8(bit_or(t, sign));
  const F32x8 z = mul(mul(e.fraction, e.scale1), e.scale2);
  const F32x8 clamped = bit_or(t, bit_and(x, sign));
  const F32x8 numerator = mul(mul(clamped, e.fraction), e.scale1);
  return gate8(x, mul(div(numerator, add(one, z)), e.scale2));
}

// Phi(-t) = exp(-t²/2) · s · polynomial(s), s = 1 / (1 + 19/64 t), error 2^-28. The exponential is corrected by the
// rounding error of t²; without that the far tail would be inaccurate.
TESSERAE_INLINE F32x8 gelu8(F32x8 x) {
  const F32x8 one = f32x8(1.0f);
  const F32x8 sign = f32x8(-0.0f);
  const F32x8 t = at_most8(15.0f, abs8(x));
  const F32x8 square = mul(t, t);
  const F32x8 square_error = fms(t, t, square);
  const ExpParts8 e = exp_parts8(mul(square, f32x8(-0.5f)));
  const F32x8 s = div(one, fma(t, f32x8(0.296875f), one));
  F32x8 p = f32x8(-0x1.4cb8b6p-6f);
  p = fma(p, s, f32x8(0x1.d36248p-4f));
  p = fma(p, s, f32x8(-0x1.ed3928p-3f));
  p = fma(p, s, f32x8(0x1.b9bbb6p-3f));
  p = fma(p, s, f32x8(-0x1.8a7e04p-4f));
  p = fma(p, s, f32x8(0x1.b0f04ap-4f));
  p = fma(p, s, f32x8(0x1.34dfc0p-4f));
  p = fma(p, s, f32x8(0x1.c1dff0p-4f));
  p = fma(p, s, f32x8(0x1.e47102p-4f));
  p = fma(p, s, f32x8(0x1.e523d2p-4f));
  const F32x8 half_error = mul(square_error, f32x8(0.5f));
  const F32x8 fraction = fnma(e.fraction, half_error, e.fraction);
  const F32x8 clamped = bit_or(t, bit_and(x, sign));
  const F32x8 phi = mul(fraction, mul(p, s));
  return gate8(x, mul(mul(mul(clamped, phi), e.scale1), e.scale2));
}

// 0.5 (1 + tanh(u)) = sigmoid(2u), with 2u = |x| (a + b x²): the tail is accurate except for the rounding of 2u.
TESSERAE_INLINE F32x8 gelu_tanh8(F32x8 x) {
  const F32x8 one = f32x8(1.0f);
  const F32x8 sign = f32x8(-0.0f);
  const F32x8 t = at_most8(11.0f, abs8(x));
  const F32x8 slope =
      fma(f32x8(0x1.2444f2p-4f), mul(t, t), f32x8(0x1.988454p+0f));
  const ExpParts8 e = exp_parts8(bit_or(mul(t, slope), sign));
  const F32x8 z = mul(mul(e.fraction, e.scale1), e.scale2);
  const F32x8 clamped = bit_or(t, bit_and(x, sign));
  const F32x8 numerator = mul(mul(clamped, e.fraction), e.scale1);
  return gate8(x, mul(div(numerator, add(one, z)), e.scale2));
}

template <Activation kind>
TESSERAE_INLINE F32x8 activate8(F32x8 x) {
  if constexpr (kind == Activation::relu) return at_least8(0.0f, x);  // keeps NaN and -0
  if constexpr (kind == Activation::silu) return silu8(x);
  if constexpr (kind == Activation::gelu) return gelu8(x);
  if constexpr (kind == Activation::gelu_tanh) return gelu_tanh8(x);
  if constexpr (kind == Activation::sigmoid) return sigmoid8(x);
  if constexpr (kind == Activation::tanh) return tanh8(x);
  if constexpr (kind == Activation::exp) return exp8(x);
  return x;
}

// Calls `body` with the kind as a compile-time value, so that the choice is made once, outside of the loops. `body` is
// a generic lambda: [&](auto tag) { ... activate8<decltype(tag)::value>(x) ... }.
template <Activation kind_>
struct ActivationTag {
  static constexpr Activation value = kind_;
};

template <typename Body>
TESSERAE_INLINE void with_activation(Activation kind, Body&& body) {
  switch (kind) {
    case Activation::none: return body(ActivationTag<Activation::none>{});
    case Activation::relu: return body(ActivationTag<Activation::relu>{});
    case Activation::silu: return body(ActivationTag<Activation::silu>{});
    case Activation::gelu: return body(ActivationTag<Activation::gelu>{});
    case Activation::gelu_tanh: return body(ActivationTag<Activation::gelu_tanh>{});
    case Activation::sigmoid: return body(ActivationTag<Activation::sigmoid>{});
    case Activation::tanh: return body(ActivationTag<Activation::tanh>{});
    case Activation::exp: return body(ActivationTag<Activation::exp>{});
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
