// The integer dot products of matmul_quantized: some rows of activations with one or two strips of 8 rows of weights.
// All paths use this code; they differ in where weights come from, an image (quantized_unit.h) or a decoded panel
// (quantized_panel.h). Included by the quantized kernels of each vector instruction set.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/quantized_rows.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// If the CPU multiplies and adds four bytes in one instruction (vpdpbusd), codes must be unsigned: 128 is added to
// signed ones (biased), and subtracted again with the sums of the activations.

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

// The properties of a quantized type on which the arithmetic depends.
template <int Bits, int Group, bool HasMin, int Offset = 0>
struct Kind {
  static constexpr int bits = Bits;  // of a code; codes of 8 bits are signed, others unsigned
  static constexpr int group = Group;
  static constexpr bool has_min = HasMin;
  static constexpr int quads = Group / 4;
  // Signed codes are made unsigned by adding 128.
  static constexpr bool is_biased = Bits == 8 && kHasDotInstruction;
  // 2^offset_shift is subtracted from unsigned codes, by means of the sums of the activations; 0 means nothing.
  static constexpr int offset_shift = is_biased ? 7 : Offset == 4 ? 2 : Offset == 8 ? 3 : Offset == 16 ? 4 : Offset == 32 ? 5 : 0;
  static_assert(Offset == 0 || 1 << offset_shift == Offset, "the offsets that exist");
  // How many sums of two products (each at most (2^bits - 1) · 127 · 2) fit into 16 bits.
  static constexpr int run = Bits == 4 ? 8 : Bits <= 5 ? 4 : 2;
  static_assert(quads % run == 0 || Bits == 8, "runs are whole");
  // Without vpdpbusd a panel stores signed codes as magnitudes and sign masks.
  static constexpr bool is_split = Bits == 8 && !kHasDotInstruction;
};

// Adds 128 to signed codes, which makes them unsigned.
TESSERAE_QUANTIZED_INLINE __m256i biased(__m256i codes) { return _mm256_xor_si256(codes, _mm256_set1_epi8(-128)); }

TESSERAE_QUANTIZED_INLINE __m256i load_vector(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

TESSERAE_QUANTIZED_INLINE __m256i broadcast_quad(const ActivationBlock& block, int quad) {
  int32_t bytes;
  __builtin_memcpy(&bytes, block.values + quad * 4, 4);
  return _mm256_set1_epi32(bytes);
}

// Keeps a sum in its register. GCC 12 reassociates integer sums otherwise: it computes all products first, spills them
// to the stack, and adds them as a tree (measured: half the speed).
TESSERAE_QUANTIZED_INLINE void keep(__m256i& sum) { asm("" : "+x"(sum)); }

// Adds the dot products of one group to `dot`. quad(q, s) returns the codes of quad q of strip s, biased if
// K::is_biased; values(r, q) the activations of quad q of row r in each lane.
template <typename K, int Rows, int Strips, typename Values, typename Quad>
TESSERAE_QUANTIZED_INLINE void dot_group(Values values, Quad quad, __m256i (&dot)[Rows][Strips]) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (kHasDotInstruction) {
#pragma GCC unroll 8
    for (int q = 0; q < K::quads; ++q) {
      __m256i w[Strips];
#pragma GCC unroll 2
      for (int s = 0; s < Strips; ++s) w[s] = quad(q, s);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const __m256i x = values(r, q);
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
        const __m256i x = values(r, q);
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
          const __m256i x = values(r, q);
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

// The same for split codes w: plane(q, s, 0) returns the magnitudes |w|, plane(q, s, 1) the masks m (-1 if w is
// negative, else 0). For negative w, x ^ m is -x - 1, so that the sum of |w| · (x ^ m) is too small by |w|, for any x:
// the caller initialises `dot` with the sum of these |w|. (vpsignb is not used, since it runs on the multipliers'
// ports.) With |w| <= 128 and x ^ m in [-128, 127] the sum of two products fits into 16 bits.
template <typename K, int Rows, typename Values, typename Plane>
TESSERAE_QUANTIZED_INLINE void dot_split_group(Values values, Plane plane, __m256i (&dot)[Rows][2]) {
  const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int q = 0; q < K::quads; ++q) {
    const __m256i magnitude[2] = {plane(q, 0, 0), plane(q, 1, 0)};
    const __m256i mask[2] = {plane(q, 0, 1), plane(q, 1, 1)};
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const __m256i x = values(r, q);
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) {
        const __m256i pairs = _mm256_maddubs_epi16(magnitude[s], _mm256_xor_si256(x, mask[s]));
        dot[r][s] = _mm256_add_epi32(dot[r][s], _mm256_madd_epi16(pairs, ones));
        keep(dot[r][s]);
      }
    }
  }
}

// Continues the chain `sum` of a row with one group (the summation rule of matmul_quantized.h).
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
