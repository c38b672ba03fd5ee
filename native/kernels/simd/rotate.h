// Rotates heads by the position of their token. The factors of a token are computed once for all its heads, in double
// precision. Included by rope.cpp and by attention_pages.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/rope.h"
#include "kernels/simd/lanes.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

struct Turn4 {
  F64x4 cosine;
  F64x4 sine;
};

// Cosine and sine with an error of about 2^-47, for |angle| < 2^51. angle = n pi/2 + r, where FMAs make the products
// with the two parts of pi/2 exact; minimax polynomials for |r| <= pi/4.
TESSERAE_INLINE Turn4 turn4(F64x4 angle) {
  const F64x4 round_to_integer = f64x4(0x1.8p52);  // adding it rounds to an integer, in the low bits
  const F64x4 shifted = fma(angle, f64x4(0x1.45f306dc9c883p-1), round_to_integer);
  const F64x4 n = sub(shifted, round_to_integer);
  F64x4 r = fnma(n, f64x4(0x1.921fb54442d18p+0), angle);
  r = fnma(n, f64x4(0x1.1a62633145c07p-54), r);
  const F64x4 square = mul(r, r);

  F64x4 s = f64x4(-0x1.a95f1df5f5090p-26);
  s = fma(s, square, f64x4(0x1.71d766400bf62p-19));
  s = fma(s, square, f64x4(-0x1.a019f92cbe8bdp-13));
  s = fma(s, square, f64x4(0x1.1111110c7e18ap-7));
  s = fma(s, square, f64x4(-0x1.55555555521bap-3));
  s = fma(mul(s, square), r, r);

  F64x4 c = f64x4(0x1.1bc5652ef5f14p-29);
  c = fma(c, square, f64x4(-0x1.27e02300b250cp-22));
  c = fma(c, square, f64x4(0x1.a019fa99552d1p-16));
  c = fma(c, square, f64x4(-0x1.6c16c1675ba11p-10));
  c = fma(c, square, f64x4(0x1.555555555306ep-5));
  c = fma(c, square, f64x4(-0.5));
  c = fma(c, square, f64x4(1.0));

  // n mod 4 is the quadrant: an odd n exchanges cosine and sine; bit 1 of n is the sign of the sine, bit 1 of n + 1
  // that of the cosine.
  const Bits256 quarter = bits_of(shifted);
  const F64x4 odd = as_f64(shift_left_i64(quarter, 63));
  const F64x4 sign = f64x4(-0.0);
  const Bits256 next = add_i64(quarter, i64x4(1));
  const F64x4 sine_sign = bit_and(as_f64(shift_left_i64(quarter, 62)), sign);
  const F64x4 cosine_sign = bit_and(as_f64(shift_left_i64(next, 62)), sign);
  return {bit_xor(blend(c, s, odd), cosine_sign),
          bit_xor(blend(s, c, odd), sine_sign)};
}

// Computes the factors of one token. Interleaved: y = x · cosines + partner(x) · sines, with an entry for each element;
// the sines alternate in sign (-s0 s0 -s1 s1 ..). Half-split: an entry for each pair.
inline void fill_factors(const Rotation& r, double position, float* cosines, float* sines) {
  const int64_t pairs = r.rotary_dim / 2;
  const F64x4 magnitude = f64x4(r.magnitude);
  for (int64_t pair = 0; pair < pairs; pair += 4) {
    float frequencies[4] = {};
    std::memcpy(frequencies, r.inverse_frequencies + pair,
                sizeof(float) * static_cast<size_t>(std::min<int64_t>(4, pairs - pair)));
    const F64x4 frequency = f32_to_f64(load_f32x4(frequencies));
    const Turn4 turn = turn4(mul(f64x4(position), frequency));
    const F32x4 c = f64_to_f32(mul(turn.cosine, magnitude));
    const F32x4 s = f64_to_f32(mul(turn.sine, magnitude));
    if (r.style == static_cast<int64_t>(RopeStyle::interleaved)) {
      const F32x4 minus_s = bit_xor(s, f32x4(-0.0f));
      store_f32x4(cosines + 2 * pair, interleave_low(c, c));
      store_f32x4(cosines + 2 * pair + 4, interleave_high(c, c));
      store_f32x4(sines + 2 * pair, interleave_low(minus_s, s));
      store_f32x4(sines + 2 * pair + 4, interleave_high(minus_s, s));
    } else {
      store_f32x4(cosines + pair, c);
      store_f32x4(sines + pair, s);
    }
  }
}

inline void turn_interleaved(const float* x, float* y, int64_t rotary_dim, const float* cosines, const float* sines) {
  for_columns(rotary_dim, [&](int64_t column, auto lanes) {
    const Floats values = lanes.load(x + column);
    const Floats partners = swap_neighbours(values);  // 1 0 3 2
    const Floats crossed = mul(partners, lanes.load(sines + column));
    lanes.store(y + column, fma(values, lanes.load(cosines + column), crossed));
  });
}

inline void turn_half_split(const float* x, float* y, int64_t pairs, const float* cosines, const float* sines) {
  for_columns(pairs, [&](int64_t pair, auto lanes) {
    const Floats a = lanes.load(x + pair);
    const Floats b = lanes.load(x + pairs + pair);
    const Floats c = lanes.load(cosines + pair);
    const Floats s = lanes.load(sines + pair);
    lanes.store(y + pair, fms(a, c, mul(b, s)));
    lanes.store(y + pairs + pair, fma(b, c, mul(a, s)));
  });
}

// The factors of one token. `cosines` and `sines` have room for rotary_dim elements, rounded up to whole vectors.
struct RotationFactors {
  const Rotation& rotation;
  float* cosines;
  float* sines;

  static int64_t padded(const Rotation& rotation) { return (rotation.rotary_dim + 7) / 8 * 8; }
  void move_to(double position) const { fill_factors(rotation, position, cosines, sines); }
  // y may be x.
  void turn(const float* x, float* y, int64_t dim) const {
    const int64_t rotated = rotation.rotary_dim;
    if (rotation.style == static_cast<int64_t>(RopeStyle::interleaved)) {
      turn_interleaved(x, y, rotated, cosines, sines);
    } else {
      turn_half_split(x, y, rotated / 2, cosines, sines);
    }
    if (x != y) std::memcpy(y + rotated, x + rotated, sizeof(float) * static_cast<size_t>(dim - rotated));
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae
