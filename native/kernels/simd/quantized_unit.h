// Reads one unit of a strip (kernels/formats/strip.h) into vectors: scales, minima, and quads of codes. Included by the
// quantized kernels of the vector instruction sets.
#pragma once

#include "kernels/simd/quantized_dot.h"
#include "kernels/formats/strip.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

template <QuantizedType type>
struct Unit {
  static constexpr QuantizedFormat format = quantized_format(type);
  static constexpr StripLayout layout = strip_layout(format);
  static constexpr bool has_min = format.min_sign != 0;
  // Levels from a table are signed bytes, so such types compute with 8 bits.
  using K = Kind<format.is_lookup ? 8 : format.bits, static_cast<int>(format.group), has_min, format.offset>;

  const unsigned char* data;
  F32x8 d;
  F32x8 dmin;  // with the sign of minima

  TESSERAE_QUANTIZED_INLINE explicit Unit(const unsigned char* unit) : data(unit) {
    d = halves(unit);
    if constexpr (has_min) dmin = halves(unit + layout.dmin);
    if constexpr (format.min_sign < 0) dmin = bit_xor(dmin, f32x8(-0.0f));
  }

  // The products are exact: 11 bits times 8 bits.
  TESSERAE_QUANTIZED_INLINE F32x8 scale(int64_t group) const {
    if constexpr (!layout.has_sub_scales) return d;
    Bits128 bytes = load_bits64(data + layout.sub_scales + group * 8);
    if constexpr (layout.has_joint_subs) bytes = bit_and(bytes, i8x16(15));
    return mul(d, i32_to_f32(i8_to_i32(bytes)));
  }

  TESSERAE_QUANTIZED_INLINE F32x8 min(int64_t group) const {
    if constexpr (!has_min) return f32x8(0);
    else if constexpr (!layout.has_sub_mins) return dmin;
    const int64_t place = layout.has_joint_subs ? layout.sub_scales : layout.sub_mins;
    Bits128 bytes = load_bits64(data + place + group * 8);
    if constexpr (layout.has_joint_subs) bytes = bit_and(shift_right_u16(bytes, 4), i8x16(15));
    return mul(dmin, i32_to_f32(u8_to_i32(bytes)));
  }

  TESSERAE_QUANTIZED_INLINE Bits256 quad(int64_t group, int q) const {
    const unsigned char* codes = data + group_place(layout, group);
    const unsigned char* high_codes = data + high_place(layout, group);
    if constexpr (format.bits == 8) {
      const Bits256 quad = load_vector(codes + q * 32);
      return K::is_biased ? biased(quad) : quad;
    }
    if constexpr (format.bits < 4) {
      const Bits256 low = bit_and(shift_right_u16(load_vector(codes), 2 * q), i8x32(3));
      if constexpr (format.bits == 2) return low;
      // Moves the high bit of this quad to bit 2 of its byte.
      Bits256 high = shift_right_by_u16(load_vector(high_codes), static_cast<int>(group % layout.together) * 4);
      high = q < 2 ? shift_left_i16(high, 2 - q) : shift_right_u16(high, q - 2);
      return bit_or(low, bit_and(high, i8x32(4)));
    }
    constexpr int half = K::quads / 2;
    Bits256 packed = load_vector(codes + q % half * 32);
    if (q >= half) packed = shift_right_u16(packed, 4);
    const Bits256 low = bit_and(packed, i8x32(15));
    if constexpr (format.is_lookup) return look_up_bytes(levels(), low);
    if constexpr (format.bits == 4) return low;
    // Moves the high bits of this quad to bit 4 of their bytes.
    const int at = format.bits == 6 ? 2 * q : q;
    Bits256 high = load_vector(high_codes);
    high = at < 4 ? shift_left_i16(high, 4 - at) : shift_right_u16(high, at - 4);
    return bit_or(low, bit_and(high, i8x32(format.bits == 6 ? 48 : 16)));
  }

 private:
  TESSERAE_QUANTIZED_INLINE static Bits256 levels() {
    const Bits128 table = load_bits128(kIq4Codes);
    const Bits256 both = in_both_halves(table);
    return K::is_biased ? biased(both) : both;
  }
  TESSERAE_QUANTIZED_INLINE static F32x8 halves(const unsigned char* from) {
    return f16_to_f32(load_bits128(from));
  }
};

// dot[r] receives the exact sums of row r with the 8 rows of weights. `half` as in dot_group.
template <QuantizedType type, int Rows>
TESSERAE_QUANTIZED_INLINE void dot_strip_quads(const Unit<type>& unit, int64_t group,
                                               const ActivationBlock* const (&block)[Rows], int half,
                                               Bits256 (&dot)[Rows][1]) {
  using K = typename Unit<type>::K;
  const int first_quad = K::group == 16 ? half * 4 : 0;
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) dot[r][0] = i32x8(0);
  const auto values = [&](int r, int q) __attribute__((always_inline)) { return broadcast_quad(*block[r], first_quad + q); };
  const auto quad = [&](int q, int) __attribute__((always_inline)) { return unit.quad(group, q); };
  dot_group<K, Rows, 1>(values, quad, dot);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
