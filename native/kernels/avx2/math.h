// exp, tanh, sigmoid and the activations on eight floats, accurate to a few units in the last place over the whole
// range, with gradual underflow, infinities and NaN (bounds: native/test/activation_test.cpp). No doubles. Lanes are
// independent, so that a lane's bits do not depend on the vector. Included by the vector kernels only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/activation.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// The polynomials below are minimax fits made for this file.

#define TESSERAE_INLINE [[gnu::always_inline]] inline

TESSERAE_INLINE __m256 abs8(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

// min and max return their second operand if either is NaN, so that these clamps keep a NaN in x.
TESSERAE_INLINE __m256 at_most8(float limit, __m256 x) { return _mm256_min_ps(_mm256_set1_ps(limit), x); }
TESSERAE_INLINE __m256 at_least8(float limit, __m256 x) { return _mm256_max_ps(_mm256_set1_ps(limit), x); }

// exp(x) = fraction · scale1 · scale2, with the fraction in [0.7, 1.42]; the scales are powers of two and normal
// numbers. They are multiplied last, one after the other, so that a denormal result is rounded only once.
struct ExpParts8 {
  __m256 fraction;
  __m256 scale1;
  __m256 scale2;
};

// x in [-120, 89] or NaN. x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) = 1 + r + r² · polynomial, error 2^-28.
TESSERAE_INLINE ExpParts8 exp_parts8(__m256 x) {
  const __m256 round_to_integer = _mm256_set1_ps(0x1.8p23f);  // adding it rounds to an integer, in the low bits
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p+0f), round_to_integer);
  const __m256 n = _mm256_sub_ps(shifted, round_to_integer);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e43p-1f), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(0x1.05c61p-29f), r);
  __m256 p = _mm256_set1_ps(0x1.6a23cep-10f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.123a20p-7f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.5558f2p-5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555492p-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.fffffcp-2f));
  p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);

  const __m256i integer =
      _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(round_to_integer));
  const __m256i half = _mm256_srai_epi32(integer, 1);
  const __m256i rest = _mm256_sub_epi32(integer, half);
  const __m256i bias = _mm256_set1_epi32(127);
  return {_mm256_add_ps(_mm256_set1_ps(1.0f), p),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23))};
}

TESSERAE_INLINE __m256 exp8(__m256 x) {
  const ExpParts8 e = exp_parts8(at_least8(-120.0f, at_most8(89.0f, x)));
  return _mm256_mul_ps(_mm256_mul_ps(e.fraction, e.scale1), e.scale2);
}

// |x| < 0.625: x + x³ · polynomial(x²), error 2^-27; beyond: 1 - 2 / (exp(2|x|) + 1).
TESSERAE_INLINE __m256 tanh8(__m256 x) {
  const __m256 t = abs8(x);
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 two = _mm256_set1_ps(2.0f);
  const __m256 square = _mm256_mul_ps(t, t);
  __m256 p = _mm256_set1_ps(-0x1.75e1a8p-8f);
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(0x1.522692p-6f));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-0x1.b83c58p-5f));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(0x1.110726p-3f));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-0x1.555532p-2f));
  const __m256 small = _mm256_fmadd_ps(_mm256_mul_ps(p, square), t, t);
  const __m256 large =
      _mm256_sub_ps(one, _mm256_div_ps(two, _mm256_add_ps(exp8(_mm256_mul_ps(two, t)), one)));
  const __m256 is_small = _mm256_cmp_ps(t, _mm256_set1_ps(0.625f), _CMP_LT_OQ);
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
  return _mm256_or_ps(_mm256_blendv_ps(large, small, is_small), sign);
}

// 1 / (1 + z) for x >= 0 and z / (1 + z) for x < 0, with z = exp(-|x|): no overflow, and a full-precision tail.
TESSERAE_INLINE __m256 sigmoid8(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 z = exp8(_mm256_or_ps(x, _mm256_set1_ps(-0.0f)));
  return _mm256_div_ps(_mm256_blendv_ps(one, z, x), _mm256_add_ps(one, z));
}

// silu, gelu and gelu_tanh are x · F(x) with F(x) + F(-x) = 1. They compute `tail` = x · F(-|x|). The result is `tail`
// for negative x and x - tail for others: no cancellation on either side. At -infinity the result is -0, the limit,
// not the NaN of -infinity · 0.
TESSERAE_INLINE __m256 gate8(__m256 x, __m256 tail) { return _mm256_blendv_ps(_mm256_sub_ps(x, tail), tail, x); }

TESSERAE_INLINE __m256 silu8(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const __m256 t = at_most8(120.0f, abs8(x));
  const ExpParts8 e = exp_parts8(_mm256_or_ps(t, sign));
  const __m256 z = _mm256_mul_ps(_mm256_mul_ps(e.fraction, e.scale1), e.scale2);
  const __m256 clamped = _mm256_or_ps(t, _mm256_and_ps(x, sign));
  const __m256 numerator = _mm256_mul_ps(_mm256_mul_ps(clamped, e.fraction), e.scale1);
  return gate8(x, _mm256_mul_ps(_mm256_div_ps(numerator, _mm256_add_ps(one, z)), e.scale2));
}

// Phi(-t) = exp(-t²/2) · s · polynomial(s), s = 1 / (1 + 19/64 t), error 2^-28. The exponential is corrected by the
// rounding error of t²; without that the far tail would be inaccurate.
TESSERAE_INLINE __m256 gelu8(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const __m256 t = at_most8(15.0f, abs8(x));
  const __m256 square = _mm256_mul_ps(t, t);
  const __m256 square_error = _mm256_fmsub_ps(t, t, square);
  const ExpParts8 e = exp_parts8(_mm256_mul_ps(square, _mm256_set1_ps(-0.5f)));
  const __m256 s = _mm256_div_ps(one, _mm256_fmadd_ps(t, _mm256_set1_ps(0.296875f), one));
  __m256 p = _mm256_set1_ps(-0x1.4cb8b6p-6f);
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0x1.d36248p-4f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(-0x1.ed3928p-3f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0x1.b9bbb6p-3f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(-0x1.8a7e04p-4f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0x1.b0f04ap-4f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0x1.34dfc0p-4f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0x1.c1dff0p-4f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0x1.e47102p-4f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0x1.e523d2p-4f));
  const __m256 half_error = _mm256_mul_ps(square_error, _mm256_set1_ps(0.5f));
  const __m256 fraction = _mm256_fnmadd_ps(e.fraction, half_error, e.fraction);
  const __m256 clamped = _mm256_or_ps(t, _mm256_and_ps(x, sign));
  const __m256 phi = _mm256_mul_ps(fraction, _mm256_mul_ps(p, s));
  return gate8(x, _mm256_mul_ps(_mm256_mul_ps(_mm256_mul_ps(clamped, phi), e.scale1), e.scale2));
}

// 0.5 (1 + tanh(u)) = sigmoid(2u), with 2u = |x| (a + b x²): the tail is accurate except for the rounding of 2u.
TESSERAE_INLINE __m256 gelu_tanh8(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const __m256 t = at_most8(11.0f, abs8(x));
  const __m256 slope =
      _mm256_fmadd_ps(_mm256_set1_ps(0x1.2444f2p-4f), _mm256_mul_ps(t, t), _mm256_set1_ps(0x1.988454p+0f));
  const ExpParts8 e = exp_parts8(_mm256_or_ps(_mm256_mul_ps(t, slope), sign));
  const __m256 z = _mm256_mul_ps(_mm256_mul_ps(e.fraction, e.scale1), e.scale2);
  const __m256 clamped = _mm256_or_ps(t, _mm256_and_ps(x, sign));
  const __m256 numerator = _mm256_mul_ps(_mm256_mul_ps(clamped, e.fraction), e.scale1);
  return gate8(x, _mm256_mul_ps(_mm256_div_ps(numerator, _mm256_add_ps(one, z)), e.scale2));
}

template <Activation kind>
TESSERAE_INLINE __m256 activate8(__m256 x) {
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
