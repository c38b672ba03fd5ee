// Reads one unit of a strip (kernels/formats/strip.h) into vectors: scales, minima, and quads of codes. Included by the
// quantized kernels of the vector instruction sets.
#pragma once

#include "kernels/avx2/quantized_dot.h"
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
  __m256 d;
  __m256 dmin;  // with the sign of minima

  TESSERAE_QUANTIZED_INLINE explicit Unit(const unsigned char* unit) : data(unit) {
    d = halves(unit);
    if constexpr (has_min) dmin = halves(unit + layout.dmin);
    if constexpr (format.min_sign < 0) dmin = _mm256_xor_ps(dmin, _mm256_set1_ps(-0.0f));
  }

  // The products are exact: 11 bits times 8 bits.
  TESSERAE_QUANTIZED_INLINE __m256 scale(int64_t group) const {
    if constexpr (!layout.has_sub_scales) return d;
    __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(data + layout.sub_scales + group * 8));
    if constexpr (layout.has_joint_subs) bytes = _mm_and_si128(bytes, _mm_set1_epi8(15));
    return _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
  }

  TESSERAE_QUANTIZED_INLINE __m256 min(int64_t group) const {
    if constexpr (!has_min) return _mm256_setzero_ps();
    else if constexpr (!layout.has_sub_mins) return dmin;
    const int64_t place = layout.has_joint_subs ? layout.sub_scales : layout.sub_mins;
    __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(data + place + group * 8));
    if constexpr (layout.has_joint_subs) bytes = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    return _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
  }

  TESSERAE_QUANTIZED_INLINE __m256i quad(int64_t group, int q) const {
    const unsigned char* codes = data + group_place(layout, group);
    const unsigned char* high_codes = data + high_place(layout, group);
    if constexpr (format.bits == 8) {
      const __m256i quad = load_vector(codes + q * 32);
      return K::is_biased ? biased(quad) : quad;
    }
    if constexpr (format.bits < 4) {
      const __m256i low = _mm256_and_si256(_mm256_srli_epi16(load_vector(codes), 2 * q), _mm256_set1_epi8(3));
      if constexpr (format.bits == 2) return low;
      // Moves the high bit of this quad to bit 2 of its byte.
      const __m128i second = _mm_cvtsi32_si128(static_cast<int>(group % layout.together) * 4);
      __m256i high = _mm256_srl_epi16(load_vector(high_codes), second);
      high = q < 2 ? _mm256_slli_epi16(high, 2 - q) : _mm256_srli_epi16(high, q - 2);
      return _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(4)));
    }
    constexpr int half = K::quads / 2;
    __m256i packed = load_vector(codes + q % half * 32);
    if (q >= half) packed = _mm256_srli_epi16(packed, 4);
    const __m256i low = _mm256_and_si256(packed, _mm256_set1_epi8(15));
    if constexpr (format.is_lookup) return _mm256_shuffle_epi8(levels(), low);
    if constexpr (format.bits == 4) return low;
    // Moves the high bits of this quad to bit 4 of their bytes.
    const int at = format.bits == 6 ? 2 * q : q;
    __m256i high = load_vector(high_codes);
    high = at < 4 ? _mm256_slli_epi16(high, 4 - at) : _mm256_srli_epi16(high, at - 4);
    return _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(format.bits == 6 ? 48 : 16)));
  }

 private:
  TESSERAE_QUANTIZED_INLINE static __m256i levels() {
    const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Codes));
    const __m256i both = _mm256_broadcastsi128_si256(table);
    return K::is_biased ? biased(both) : both;
  }
  TESSERAE_QUANTIZED_INLINE static __m256 halves(const unsigned char* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
