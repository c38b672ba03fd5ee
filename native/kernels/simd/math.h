// exp, tanh, sigmoid and the activations on the floats of a vector, accurate to a few units in the last place over the whole
// range, with gradual underflow, infinities and NaN (bounds: native/test/activation_test.cpp). No doubles. Lanes are
// independent, so that a lane's bits do not depend on the vector. Included by the vector kernels only.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/vec/vec.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// The polynomials below are minimax fits made for this file.

template <typename V>
TESSERAE_INLINE V abs_lanes(V x) { return and_not(splat<V>(-0.0f), x); }

// min and max return their second operand if either is NaN, so that these clamps keep a NaN in x.
template <typename V>
TESSERAE_INLINE V at_most(float limit, V x) { return min(splat<V>(limit), x); }
template <typename V>
TESSERAE_INLINE V at_least(float limit, V x) { return max(splat<V>(limit), x); }

// exp(x) = fraction · scale1 · scale2, with the fraction in [0.7, 1.42]; the scales are powers of two and normal
// numbers. They are multiplied last, one after the other, so that a denormal result is rounded only once.
template <typename V>
struct ExpParts {
  V fraction;
  V scale1;
  V scale2;
};

// x in [-120, 89] or NaN. x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) = 1 + r + r² · polynomial, error 2^-28.
template <typename V>
TESSERAE_INLINE ExpParts<V> exp_parts(V x) {
  const V round_to_integer = splat<V>(0x1.8p23f);  // adding it rounds to an integer, in the low bits
  const V shifted = fma(x, splat<V>(0x1.715476p+0f), round_to_integer);
  const V n = sub(shifted, round_to_integer);
  V r = fnma(n, splat<V>(0x1.62e43p-1f), x);
  r = fma(n, splat<V>(0x1.05c61p-29f), r);
  V p = splat<V>(0x1.6a23cep-10f);
  p = fma(p, r, splat<V>(0x1.123a20p-7f));
  p = fma(p, r, splat<V>(0x1.5558f2p-5f));
  p = fma(p, r, splat<V>(0x1.555492p-3f));
  p = fma(p, r, splat<V>(0x1.fffffcp-2f));
  p = fma(p, mul(r, r), r);

  const auto integer =
      sub_i32(bits_of(shifted), bits_of(round_to_integer));
  const auto half = shift_right_i32(integer, 1);
  const auto rest = sub_i32(integer, half);
  const auto bias = LanesOf<V>::integers(127);
  return {add(splat<V>(1.0f), p),
          as_f32(shift_left_i32(add_i32(half, bias), 23)),
          as_f32(shift_left_i32(add_i32(rest, bias), 23))};
}

template <typename V>
TESSERAE_INLINE V exp_lanes(V x) {
  const ExpParts<V> e = exp_parts(at_least(-120.0f, at_most(89.0f, x)));
  return mul(mul(e.fraction, e.scale1), e.scale2);
}

// |x| < 0.625: x + x³ · polynomial(x²), error 2^-27; beyond: 1 - 2 / (exp(2|x|) + 1).
template <typename V>
TESSERAE_INLINE V tanh_lanes(V x) {
  const V t = abs_lanes(x);
  const V one = splat<V>(1.0f);
  const V two = splat<V>(2.0f);
  const V square = mul(t, t);
  V p = splat<V>(-0x1.75e1a8p-8f);
  p = fma(p, square, splat<V>(0x1.522692p-6f));
  p = fma(p, square, splat<V>(-0x1.b83c58p-5f));
  p = fma(p, square, splat<V>(0x1.110726p-3f));
  p = fma(p, square, splat<V>(-0x1.555532p-2f));
  const V small = fma(mul(p, square), t, t);
  const V large = sub(one, div(two, add(exp_lanes(mul(two, t)), one)));
  const auto is_small = compare_less(t, splat<V>(0.625f));
  const V sign = bit_and(x, splat<V>(-0.0f));
  return bit_or(blend(large, small, is_small), sign);
}

// 1 / (1 + z) for x >= 0 and z / (1 + z) for x < 0, with z = exp(-|x|): no overflow, and a full-precision tail.
template <typename V>
TESSERAE_INLINE V sigmoid_lanes(V x) {
  const V one = splat<V>(1.0f);
  const V z = exp_lanes(bit_or(x, splat<V>(-0.0f)));
  return div(blend(one, z, x), add(one, z));
}

// silu, gelu and gelu_tanh are x · F(x) with F(x) + F(-x) = 1. They compute `tail` = x · F(-|x|). The result is `tail`
// for negative x and x - tail for others: no cancellation on either side. At -infinity the result is -0, the limit,
// not the NaN of -infinity · 0.
template <typename V>
TESSERAE_INLINE V gate_lanes(V x, V tail) { return blend(sub(x, tail), tail, x); }

template <typename V>
TESSERAE_INLINE V silu_lanes(V x) {
  const V one = splat<V>(1.0f);
  const V sign = splat<V>(-0.0f);
  const V t = at_most(120.0f, abs_lanes(x));
  const ExpParts<V> e = exp_parts(bit_or(t, sign));
  const V z = mul(mul(e.fraction, e.scale1), e.scale2);
  const V clamped = bit_or(t, bit_and(x, sign));
  const V numerator = mul(mul(clamped, e.fraction), e.scale1);
  return gate_lanes(x, mul(div(numerator, add(one, z)), e.scale2));
}

// Phi(-t) = exp(-t²/2) · s · polynomial(s), s = 1 / (1 + 19/64 t), error 2^-28. The exponential is corrected by the
// rounding error of t²; without that the far tail would be inaccurate.
template <typename V>
TESSERAE_INLINE V gelu_lanes(V x) {
  const V one = splat<V>(1.0f);
  const V sign = splat<V>(-0.0f);
  const V t = at_most(15.0f, abs_lanes(x));
  const V square = mul(t, t);
  const V square_error = fms(t, t, square);
  const ExpParts<V> e = exp_parts(mul(square, splat<V>(-0.5f)));
  const V s = div(one, fma(t, splat<V>(0.296875f), one));
  V p = splat<V>(-0x1.4cb8b6p-6f);
  p = fma(p, s, splat<V>(0x1.d36248p-4f));
  p = fma(p, s, splat<V>(-0x1.ed3928p-3f));
  p = fma(p, s, splat<V>(0x1.b9bbb6p-3f));
  p = fma(p, s, splat<V>(-0x1.8a7e04p-4f));
  p = fma(p, s, splat<V>(0x1.b0f04ap-4f));
  p = fma(p, s, splat<V>(0x1.34dfc0p-4f));
  p = fma(p, s, splat<V>(0x1.c1dff0p-4f));
  p = fma(p, s, splat<V>(0x1.e47102p-4f));
  p = fma(p, s, splat<V>(0x1.e523d2p-4f));
  const V half_error = mul(square_error, splat<V>(0.5f));
  const V fraction = fnma(e.fraction, half_error, e.fraction);
  const V clamped = bit_or(t, bit_and(x, sign));
  const V phi = mul(fraction, mul(p, s));
  return gate_lanes(x, mul(mul(mul(clamped, phi), e.scale1), e.scale2));
}

// 0.5 (1 + tanh(u)) = sigmoid(2u), with 2u = |x| (a + b x²): the tail is accurate except for the rounding of 2u.
template <typename V>
TESSERAE_INLINE V gelu_tanh_lanes(V x) {
  const V one = splat<V>(1.0f);
  const V sign = splat<V>(-0.0f);
  const V t = at_most(11.0f, abs_lanes(x));
  const V slope = fma(splat<V>(0x1.2444f2p-4f), mul(t, t), splat<V>(0x1.988454p+0f));
  const ExpParts<V> e = exp_parts(bit_or(mul(t, slope), sign));
  const V z = mul(mul(e.fraction, e.scale1), e.scale2);
  const V clamped = bit_or(t, bit_and(x, sign));
  const V numerator = mul(mul(clamped, e.fraction), e.scale1);
  return gate_lanes(x, mul(div(numerator, add(one, z)), e.scale2));
}

template <Activation kind, typename V>
TESSERAE_INLINE V activate(V x) {
  if constexpr (kind == Activation::relu) return at_least(0.0f, x);  // keeps NaN and -0
  if constexpr (kind == Activation::silu) return silu_lanes(x);
  if constexpr (kind == Activation::gelu) return gelu_lanes(x);
  if constexpr (kind == Activation::gelu_tanh) return gelu_tanh_lanes(x);
  if constexpr (kind == Activation::sigmoid) return sigmoid_lanes(x);
  if constexpr (kind == Activation::tanh) return tanh_lanes(x);
  if constexpr (kind == Activation::exp) return exp_lanes(x);
  return x;
}

// Calls `body` with the kind as a compile-time value, so that the choice is made once, outside of the loops. `body` is
// a generic lambda: [&](auto tag) { ... activate<decltype(tag)::value>(x) ... }.
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
