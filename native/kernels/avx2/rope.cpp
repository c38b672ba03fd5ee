// rope with AVX2. The sines of a token are computed once for all its heads, in double precision, and kept in scratch.
#include "kernels/rope.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "kernels/avx2/lanes.h"

namespace tesserae {
namespace {

struct Turn4 {
  __m256d cosine;
  __m256d sine;
};

// Cosine and sine with an error of about 2^-47, for |angle| < 2^51. angle = n pi/2 + r, where FMAs make the products
// with the two parts of pi/2 exact; minimax polynomials for |r| <= pi/4.
TESSERAE_INLINE Turn4 turn4(__m256d angle) {
  const __m256d round_to_integer = _mm256_set1_pd(0x1.8p52);  // adding it rounds to an integer, in the low bits
  const __m256d shifted = _mm256_fmadd_pd(angle, _mm256_set1_pd(0x1.45f306dc9c883p-1), round_to_integer);
  const __m256d n = _mm256_sub_pd(shifted, round_to_integer);
  __m256d r = _mm256_fnmadd_pd(n, _mm256_set1_pd(0x1.921fb54442d18p+0), angle);
  r = _mm256_fnmadd_pd(n, _mm256_set1_pd(0x1.1a62633145c07p-54), r);
  const __m256d square = _mm256_mul_pd(r, r);

  __m256d s = _mm256_set1_pd(-0x1.a95f1df5f5090p-26);
  s = _mm256_fmadd_pd(s, square, _mm256_set1_pd(0x1.71d766400bf62p-19));
  s = _mm256_fmadd_pd(s, square, _mm256_set1_pd(-0x1.a019f92cbe8bdp-13));
  s = _mm256_fmadd_pd(s, square, _mm256_set1_pd(0x1.1111110c7e18ap-7));
  s = _mm256_fmadd_pd(s, square, _mm256_set1_pd(-0x1.55555555521bap-3));
  s = _mm256_fmadd_pd(_mm256_mul_pd(s, square), r, r);

  __m256d c = _mm256_set1_pd(0x1.1bc5652ef5f14p-29);
  c = _mm256_fmadd_pd(c, square, _mm256_set1_pd(-0x1.27e02300b250cp-22));
  c = _mm256_fmadd_pd(c, square, _mm256_set1_pd(0x1.a019fa99552d1p-16));
  c = _mm256_fmadd_pd(c, square, _mm256_set1_pd(-0x1.6c16c1675ba11p-10));
  c = _mm256_fmadd_pd(c, square, _mm256_set1_pd(0x1.555555555306ep-5));
  c = _mm256_fmadd_pd(c, square, _mm256_set1_pd(-0.5));
  c = _mm256_fmadd_pd(c, square, _mm256_set1_pd(1.0));

  // n mod 4 is the quadrant: an odd n exchanges cosine and sine; bit 1 of n is the sign of the sine, bit 1 of n + 1
  // that of the cosine.
  const __m256i quarter = _mm256_castpd_si256(shifted);
  const __m256d odd = _mm256_castsi256_pd(_mm256_slli_epi64(quarter, 63));
  const __m256d sign = _mm256_set1_pd(-0.0);
  const __m256i next = _mm256_add_epi64(quarter, _mm256_set1_epi64x(1));
  const __m256d sine_sign = _mm256_and_pd(_mm256_castsi256_pd(_mm256_slli_epi64(quarter, 62)), sign);
  const __m256d cosine_sign = _mm256_and_pd(_mm256_castsi256_pd(_mm256_slli_epi64(next, 62)), sign);
  return {_mm256_xor_pd(_mm256_blendv_pd(c, s, odd), cosine_sign),
          _mm256_xor_pd(_mm256_blendv_pd(s, c, odd), sine_sign)};
}

// Computes the factors of one token. Interleaved: y = x · cosines + partner(x) · sines, with an entry for each element;
// the sines alternate in sign (-s0 s0 -s1 s1 ..). Half-split: an entry for each pair.
void fill_factors(const RopeParams& p, double position, float* cosines, float* sines) {
  const int64_t pairs = p.rotary_dim / 2;
  const __m256d magnitude = _mm256_set1_pd(p.magnitude);
  for (int64_t pair = 0; pair < pairs; pair += 4) {
    float frequencies[4] = {};
    std::memcpy(frequencies, p.inverse_frequencies + pair,
                sizeof(float) * static_cast<size_t>(std::min<int64_t>(4, pairs - pair)));
    const __m256d frequency = _mm256_cvtps_pd(_mm_loadu_ps(frequencies));
    const Turn4 turn = turn4(_mm256_mul_pd(_mm256_set1_pd(position), frequency));
    const __m128 c = _mm256_cvtpd_ps(_mm256_mul_pd(turn.cosine, magnitude));
    const __m128 s = _mm256_cvtpd_ps(_mm256_mul_pd(turn.sine, magnitude));
    if (p.style == static_cast<int64_t>(RopeStyle::interleaved)) {
      const __m128 minus_s = _mm_xor_ps(s, _mm_set1_ps(-0.0f));
      _mm_storeu_ps(cosines + 2 * pair, _mm_unpacklo_ps(c, c));
      _mm_storeu_ps(cosines + 2 * pair + 4, _mm_unpackhi_ps(c, c));
      _mm_storeu_ps(sines + 2 * pair, _mm_unpacklo_ps(minus_s, s));
      _mm_storeu_ps(sines + 2 * pair + 4, _mm_unpackhi_ps(minus_s, s));
    } else {
      _mm_storeu_ps(cosines + pair, c);
      _mm_storeu_ps(sines + pair, s);
    }
  }
}

void turn_interleaved(const float* x, float* y, int64_t rotary_dim, const float* cosines, const float* sines) {
  for_columns8(rotary_dim, [&](int64_t column, auto lanes) {
    const __m256 values = lanes.load(x + column);
    const __m256 partners = _mm256_permute_ps(values, 0xb1);  // 1 0 3 2
    const __m256 crossed = _mm256_mul_ps(partners, lanes.load(sines + column));
    lanes.store(y + column, _mm256_fmadd_ps(values, lanes.load(cosines + column), crossed));
  });
}

void turn_half_split(const float* x, float* y, int64_t pairs, const float* cosines, const float* sines) {
  for_columns8(pairs, [&](int64_t pair, auto lanes) {
    const __m256 a = lanes.load(x + pair);
    const __m256 b = lanes.load(x + pairs + pair);
    const __m256 c = lanes.load(cosines + pair);
    const __m256 s = lanes.load(sines + pair);
    lanes.store(y + pair, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
    lanes.store(y + pairs + pair, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
  });
}

}  // namespace

KernelStatus rope_avx2(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<RopeParams>();
  const int64_t padded = (p.rotary_dim + 7) / 8 * 8;
  float* cosines = reinterpret_cast<float*>(scratch.data);
  float* sines = cosines + padded;
  assert(2 * static_cast<size_t>(padded) * sizeof(float) <= scratch.size_bytes);
  const size_t rest_bytes = sizeof(float) * static_cast<size_t>(p.dim - p.rotary_dim);
  const int64_t heads = p.outer.size[3];
  const int64_t first = tile * p.tile_tokens;
  const int64_t last = std::min(first + p.tile_tokens, p.outer.rows() / heads);
  for (int64_t token = first; token < last; ++token) {
    const int64_t row = token * heads;
    fill_factors(p, p.positions[row_offset(p.outer, p.positions_outer, row)], cosines, sines);
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t head = 0; head < heads; ++head, x += p.x_outer.stride[3], y += p.y_outer.stride[3]) {
      if (p.style == static_cast<int64_t>(RopeStyle::interleaved)) {
        turn_interleaved(x, y, p.rotary_dim, cosines, sines);
      } else {
        turn_half_split(x, y, p.rotary_dim / 2, cosines, sines);
      }
      if (x != y) std::memcpy(y + p.rotary_dim, x + p.rotary_dim, rest_bytes);
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
