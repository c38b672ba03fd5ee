// The integer dot products of quantized matmul: some rows of activations against one or two strips of 8 rows of weights,
// over whole units. The same source computes every path, so that only where weights come from differs: from an image
// (quantized_unit.h) or from a panel decoded before (quantized_panel.h). Included by the quantized kernels of each vector
// instruction set: where the CPU multiplies and adds four bytes in one instruction (vpdpbusd), codes are always unsigned.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/quantized_rows.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

#define TESSERAE_QUANTIZED_INLINE [[gnu::always_inline]] inline

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
constexpr bool kHasDotInstruction = true;
TESSERAE_QUANTIZED_INLINE __m256i dot_quad(__m256i sum, __m256i codes, __m256i x) {
  return _mm256_dpbusd_epi32(sum, codes, x);
}
#elif defined(__AVXVNNI__)
constexpr bool kHasDotInstruction = true;
TESSERAE_QUANTIZED_INLINE __m256i dot_quad(__m256i sum, __m256i codes, __m256i x) {
  return _mm256_dpbusd_avx_epi32(sum, codes, x);
}
#else
constexpr bool kHasDotInstruction = false;
// For codes of at most 7 bits: the sum of a pair of products fits into 16 bits.
TESSERAE_QUANTIZED_INLINE __m256i dot_quad(__m256i sum, __m256i codes, __m256i x) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1)));
}
#endif

// What the arithmetic depends on.
template <int Bits, int Group, bool HasMin, int Offset = 0>
struct Kind {
  static constexpr int bits = Bits;  // of a code: 8 is signed, less is unsigned
  static constexpr int group = Group;
  static constexpr bool has_min = HasMin;
  static constexpr int quads = Group / 4;
  // Signed codes are brought to unsigned ones by adding 128.
  static constexpr bool is_biased = Bits == 8 && kHasDotInstruction;
  // What is subtracted from unsigned codes, by way of the sums of the activations: 2^offset_shift, or nothing for 0.
  static constexpr int offset_shift = is_biased ? 7 : Offset == 4 ? 2 : Offset == 8 ? 3 : Offset == 16 ? 4 : Offset == 32 ? 5 : 0;
  static_assert(Offset == 0 || 1 << offset_shift == Offset, "the offsets that there are");
  // So many products of a pair (at most (2^bits - 1) · 127 · 2 each) fit into 16 bits.
  static constexpr int run = Bits == 4 ? 8 : Bits <= 5 ? 4 : 2;
  static_assert(quads % run == 0 || Bits == 8, "runs are whole");
  // Without that instruction a panel holds signed codes as magnitudes and masks of the sign.
  static constexpr bool is_split = Bits == 8 && !kHasDotInstruction;
};

// Signed codes plus 128, as unsigned ones.
TESSERAE_QUANTIZED_INLINE __m256i biased(__m256i codes) { return _mm256_xor_si256(codes, _mm256_set1_epi8(-128)); }

TESSERAE_QUANTIZED_INLINE __m256i load_vector(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

TESSERAE_QUANTIZED_INLINE __m256i broadcast_quad(const ActivationBlock& block, int quad) {
  int32_t bytes;
  __builtin_memcpy(&bytes, block.values + quad * 4, 4);
  return _mm256_set1_epi32(bytes);
}

// Integer sums may be reassociated, and then are: all products first, on the stack, and the additions as a tree. This keeps
// a sum in its register (measured: twice the speed).
TESSERAE_QUANTIZED_INLINE void keep(__m256i& sum) { asm("" : "+x"(sum)); }

// One group. `quad(q, s)` gives the codes of quad q of strip s, biased where K says so. `block` is the activation block of each row that the group
// lies in, `half` says which half of it where groups are that small.
template <typename K, int Rows, int Strips, typename Quad>
TESSERAE_QUANTIZED_INLINE void dot_group(const ActivationBlock* const (&block)[Rows], int half, Quad quad,
                                         __m256i (&dot)[Rows][Strips]) {
  const __m256i ones = _mm256_set1_epi16(1);
  const int first_quad = K::group == 16 ? half * 4 : 0;
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int s = 0; s < Strips; ++s) dot[r][s] = _mm256_setzero_si256();
  }
  if constexpr (kHasDotInstruction) {
#pragma GCC unroll 8
    for (int q = 0; q < K::quads; ++q) {
      __m256i w[Strips];
#pragma GCC unroll 2
      for (int s = 0; s < Strips; ++s) w[s] = quad(q, s);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const __m256i x = broadcast_quad(*block[r], first_quad + q);
#pragma GCC unroll 2
        for (int s = 0; s < Strips; ++s) dot[r][s] = dot_quad(dot[r][s], w[s], x);
      }
    }
  } else if constexpr (K::bits == 8) {
#pragma GCC unroll 8
    for (int q = 0; q < K::quads; ++q) {
      __m256i w[Strips], magnitude[Strips];
#pragma GCC unroll 2
      for (int s = 0; s < Strips; ++s) {
        w[s] = quad(q, s);
        magnitude[s] = _mm256_abs_epi8(w[s]);
      }
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const __m256i x = broadcast_quad(*block[r], first_quad + q);
#pragma GCC unroll 2
        for (int s = 0; s < Strips; ++s) {
          const __m256i pairs = _mm256_maddubs_epi16(magnitude[s], _mm256_sign_epi8(x, w[s]));
          dot[r][s] = _mm256_add_epi32(dot[r][s], _mm256_madd_epi16(pairs, ones));
          keep(dot[r][s]);
        }
      }
    }
  } else {
#pragma GCC unroll 8
    for (int first = 0; first < K::quads; first += K::run) {
      __m256i pairs[Rows][Strips];
#pragma GCC unroll 8
      for (int i = 0; i < K::run; ++i) {
        const int q = first + i;
        __m256i w[Strips];
#pragma GCC unroll 2
        for (int s = 0; s < Strips; ++s) w[s] = quad(q, s);
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) {
          const __m256i x = broadcast_quad(*block[r], first_quad + q);
#pragma GCC unroll 2
          for (int s = 0; s < Strips; ++s) {
            const __m256i product = _mm256_maddubs_epi16(w[s], x);
            pairs[r][s] = i == 0 ? product : _mm256_add_epi16(pairs[r][s], product);
            keep(pairs[r][s]);
          }
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int s = 0; s < Strips; ++s) {
          dot[r][s] = _mm256_add_epi32(dot[r][s], _mm256_madd_epi16(pairs[r][s], ones));
        }
      }
    }
  }
}

// The same of signed codes that were split: `plane(q, s, 0)` gives their magnitudes |w|, `plane(q, s, 1)` the masks m, -1 where
// w is negative. For these x ^ m is -x - 1, so that the sum of |w| · (x ^ m) lacks |w| for each negative w, whatever x is:
// `dot` begins with the sum of those. (A sign instruction for the product of w and x runs on the multipliers' ports.) With
// |w| <= 128 and x ^ m in [-128, 127] a pair of products fits into 16 bits.
template <typename K, int Rows, typename Plane>
TESSERAE_QUANTIZED_INLINE void dot_split_group(const ActivationBlock* const (&block)[Rows], int half, Plane plane,
                                               __m256i (&dot)[Rows][2]) {
  const __m256i ones = _mm256_set1_epi16(1);
  const int first_quad = K::group == 16 ? half * 4 : 0;
#pragma GCC unroll 8
  for (int q = 0; q < K::quads; ++q) {
    const __m256i magnitude[2] = {plane(q, 0, 0), plane(q, 1, 0)};
    const __m256i mask[2] = {plane(q, 0, 1), plane(q, 1, 1)};
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const __m256i x = broadcast_quad(*block[r], first_quad + q);
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) {
        const __m256i pairs = _mm256_maddubs_epi16(magnitude[s], _mm256_xor_si256(x, mask[s]));
        dot[r][s] = _mm256_add_epi32(dot[r][s], _mm256_madd_epi16(pairs, ones));
        keep(dot[r][s]);
      }
    }
  }
}

// The links of the chain that one group adds (matmul_quantized.h).
template <typename K, int Strips>
TESSERAE_QUANTIZED_INLINE void add_group(const ActivationBlock& block, int half, const __m256i (&dot)[Strips],
                                         const __m256 (&scale)[Strips], const __m256 (&min)[Strips],
                                         __m256 (&sum)[Strips]) {
  const int32_t* of_values = K::group == 16 ? &block.half_sums[half] : &block.sum;
  const __m256 factor = _mm256_broadcast_ss(&block.scale);
  const __m256i values = _mm256_set1_epi32(*of_values);
#pragma GCC unroll 2
  for (int s = 0; s < Strips; ++s) {
    __m256i exact = dot[s];
    if constexpr (K::offset_shift > 0) exact = _mm256_sub_epi32(exact, _mm256_slli_epi32(values, K::offset_shift));
    sum[s] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), _mm256_mul_ps(scale[s], factor), sum[s]);
    if constexpr (K::has_min) {
      sum[s] = _mm256_fmadd_ps(min[s], _mm256_mul_ps(factor, _mm256_cvtepi32_ps(values)), sum[s]);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
