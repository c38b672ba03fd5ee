// The vector layer with NEON (arm64): halves.h, and here the instructions that its plain C++ does not reach. Products of
// bytes use `sdot` and `smmla` where the set is compiled with them. vec.h describes the names.
#pragma once

#include <arm_neon.h>

#include "kernels/half.h"
#include "kernels/vec/halves.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

TESSERAE_INLINE F32x4 fma(F32x4 a, F32x4 b, F32x4 c) { return (F32x4)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
TESSERAE_INLINE F64x2 fma(F64x2 a, F64x2 b, F64x2 c) { return (F64x2)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }

TESSERAE_INLINE float half_to_f32(uint16_t half) { return half_to_float(half); }
TESSERAE_INLINE uint16_t f32_to_half(float x) { return float_to_half(x); }
// Four halves in the lower bits of 32-bit lanes.
TESSERAE_INLINE F32x4 f16_to_f32_lanes(Bits128 halves) {
  return (F32x4)vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32((uint32x4_t)halves)));
}
TESSERAE_INLINE Bits128 f32_to_f16_lanes(F32x4 v) {
  return (Bits128)vmovl_u16(vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)v)));
}

TESSERAE_INLINE Bits128 look_up_bytes(Bits128 table, Bits128 indexes) {
  return (Bits128)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)indexes);
}

#ifdef __ARM_FEATURE_MATMUL_INT8
constexpr DotKind kDot = DotKind::signed_octets;
// The lanes receive the products of: the first row of x by the first of codes, by the second; the second row of x by these.
TESSERAE_INLINE Bits128 dot_octets(Bits128 sum, Bits128 x, Bits128 codes) {
  return (Bits128)vmmlaq_s32((int32x4_t)sum, (int8x16_t)x, (int8x16_t)codes);
}
#else
constexpr DotKind kDot = DotKind::signed_quads;
#endif
TESSERAE_INLINE Bits128 dot_quad(Bits128 sum, Bits128 codes, Bits128 x) {
  const auto a = (int8x16_t)codes, b = (int8x16_t)x;
#ifdef __ARM_FEATURE_DOTPROD
  return (Bits128)vdotq_s32((int32x4_t)sum, a, b);
#else
  // Products of 16 bits, added in pairs, and these in pairs to the sums.
  const int16x8_t pairs = vpaddq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)), vmull_high_s8(a, b));
  return (Bits128)vpadalq_s16((int32x4_t)sum, pairs);
#endif
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae

#include "kernels/vec/pairs.h"

#ifdef __ARM_FEATURE_MATMUL_INT8
namespace tesserae {
inline namespace TESSERAE_ISA {

TESSERAE_INLINE Bits256 dot_octets(Bits256 sum, Bits256 x, Bits256 codes) {
  return {dot_octets(sum.low, x.low, codes.low), dot_octets(sum.high, x.high, codes.high)};
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
#endif
