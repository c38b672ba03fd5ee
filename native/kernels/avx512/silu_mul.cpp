// silu_mul with AVX-512: the operations of silu8 (simd/math.h) on sixteen floats, with the same bits.
#include "kernels/silu_mul.h"

#include <algorithm>

#include "kernels/simd/quantize_block.h"
#include "kernels/avx512/lanes.h"

namespace tesserae {
namespace {

[[gnu::always_inline]] inline __m512 silu16(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 sign = _mm512_set1_ps(-0.0f);
  const __m512 t = _mm512_min_ps(_mm512_set1_ps(120.0f), _mm512_andnot_ps(sign, x));
  const __m512 negative = _mm512_or_ps(t, sign);

  const __m512 round_to_integer = _mm512_set1_ps(0x1.8p23f);
  const __m512 shifted = _mm512_fmadd_ps(negative, _mm512_set1_ps(0x1.715476p+0f), round_to_integer);
  const __m512 n = _mm512_sub_ps(shifted, round_to_integer);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e43p-1f), negative);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(0x1.05c61p-29f), r);
  __m512 p = _mm512_set1_ps(0x1.6a23cep-10f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.123a20p-7f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.5558f2p-5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.555492p-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.fffffcp-2f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r);
  const __m512i integer = _mm512_sub_epi32(_mm512_castps_si512(shifted), _mm512_castps_si512(round_to_integer));
  const __m512i half = _mm512_srai_epi32(integer, 1);
  const __m512i bias = _mm512_set1_epi32(127);
  const auto power = [&](__m512i exponent) __attribute__((always_inline)) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(exponent, bias), 23));
  };
  const __m512 fraction = _mm512_add_ps(one, p);
  const __m512 scale1 = power(half);
  const __m512 scale2 = power(_mm512_sub_epi32(integer, half));

  const __m512 z = _mm512_mul_ps(_mm512_mul_ps(fraction, scale1), scale2);
  const __m512 clamped = _mm512_or_ps(t, _mm512_and_ps(x, sign));
  const __m512 numerator = _mm512_mul_ps(_mm512_mul_ps(clamped, fraction), scale1);
  const __m512 tail = _mm512_mul_ps(_mm512_div_ps(numerator, _mm512_add_ps(one, z)), scale2);
  return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), _mm512_sub_ps(x, tail), tail);
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus silu_mul_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<SiluMulParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* gate = p.gate + row_offset(p.outer, p.gate_outer, row);
    const float* up = p.up + row_offset(p.outer, p.up_outer, row);
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t column = 0; column < p.columns; column += 16) {
      const __mmask16 lanes = first_of_16(std::min<int64_t>(16, p.columns - column));
      const __m512 gated = silu16(_mm512_maskz_loadu_ps(lanes, gate + column));
      _mm512_mask_storeu_ps(y + column, lanes, _mm512_mul_ps(gated, _mm512_maskz_loadu_ps(lanes, up + column)));
    }
    if (p.blocks) quantize_row(y, p.columns, p.blocks + row * (p.columns / kActivationBlock));
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
