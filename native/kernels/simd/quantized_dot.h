// The integer dot products of matmul_quantized: some rows of activations with one or two strips of 8 rows of weights.
// All paths use this code; they differ in where weights come from, an image (quantized_unit.h) or a decoded panel
// (quantized_panel.h). Included by the quantized kernels of each vector instruction set.
#pragma once

#include <cstdint>

#include "kernels/quantized_rows.h"
#include "kernels/vec/vec.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// How a set adds the products of four bytes is `kDot` and dot_quad of its vec header. Where the instruction takes
// unsigned codes, 128 is added to signed ones (biased), and subtracted again with the sums of the activations.
constexpr bool kHasDotInstruction = kDot != DotKind::pairs;

#define TESSERAE_QUANTIZED_INLINE [[gnu::always_inline]] inline

// The properties of a quantized type on which the arithmetic depends.
template <int Bits, int Group, bool HasMin, int Offset = 0>
struct Kind {
  static constexpr int bits = Bits;  // of a code; codes of 8 bits are signed, others unsigned
  static constexpr int group = Group;
  static constexpr bool has_min = HasMin;
  static constexpr int quads = Group / 4;
  // Signed codes are made unsigned by adding 128.
  static constexpr bool is_biased = Bits == 8 && kDot == DotKind::unsigned_quads;
  // 2^offset_shift is subtracted from unsigned codes, by means of the sums of the activations; 0 means nothing.
  static constexpr int offset_shift = is_biased ? 7 : Offset == 4 ? 2 : Offset == 8 ? 3 : Offset == 16 ? 4 : Offset == 32 ? 5 : 0;
  static_assert(Offset == 0 || 1 << offset_shift == Offset, "the offsets that exist");
  // How many sums of two products (each at most (2^bits - 1) · 127 · 2) fit into 16 bits.
  static constexpr int run = Bits == 4 ? 8 : Bits <= 5 ? 4 : 2;
  static_assert(quads % run == 0 || Bits == 8, "runs are whole");
  // Without an instruction for quads a panel stores signed codes as magnitudes and sign masks.
  static constexpr bool is_split = Bits == 8 && !kHasDotInstruction;
};

// Adds 128 to signed codes, which makes them unsigned.
TESSERAE_QUANTIZED_INLINE Bits256 biased(Bits256 codes) { return bit_xor(codes, i8x32(-128)); }

TESSERAE_QUANTIZED_INLINE Bits256 load_vector(const void* from) {
  return load_bits256(from);
}

TESSERAE_QUANTIZED_INLINE Bits256 broadcast_quad(const ActivationBlock& block, int quad) {
  int32_t bytes;
  __builtin_memcpy(&bytes, block.values + quad * 4, 4);
  return i32x8(bytes);
}

// Adds the dot products of one group to `dot`. quad(q, s) returns the codes of quad q of strip s, biased if
// K::is_biased; values(r, q) the activations of quad q of row r in each lane.
template <typename K, int Rows, int Strips, typename Values, typename Quad>
TESSERAE_QUANTIZED_INLINE void dot_group(Values values, Quad quad, Bits256 (&dot)[Rows][Strips]) {
  const Bits256 ones = i16x16(1);
  if constexpr (kHasDotInstruction) {
#pragma GCC unroll 8
    for (int q = 0; q < K::quads; ++q) {
      Bits256 w[Strips];
#pragma GCC unroll 2
      for (int s = 0; s < Strips; ++s) w[s] = quad(q, s);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const Bits256 x = values(r, q);
#pragma GCC unroll 2
        for (int s = 0; s < Strips; ++s) dot[r][s] = dot_quad(dot[r][s], w[s], x);
      }
    }
  } else if constexpr (K::bits == 8) {
#pragma GCC unroll 8
    for (int q = 0; q < K::quads; ++q) {
      Bits256 w[Strips], magnitude[Strips];
#pragma GCC unroll 2
      for (int s = 0; s < Strips; ++s) {
        w[s] = quad(q, s);
        magnitude[s] = abs_i8(w[s]);
      }
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const Bits256 x = values(r, q);
#pragma GCC unroll 2
        for (int s = 0; s < Strips; ++s) {
          const Bits256 pairs = multiply_pairs_u8_i8(magnitude[s], with_sign_i8(x, w[s]));
          dot[r][s] = add_i32(dot[r][s], multiply_pairs_i16(pairs, ones));
          keep_in_register(dot[r][s]);
        }
      }
    }
  } else {
#pragma GCC unroll 8
    for (int first = 0; first < K::quads; first += K::run) {
      Bits256 pairs[Rows][Strips];
#pragma GCC unroll 8
      for (int i = 0; i < K::run; ++i) {
        const int q = first + i;
        Bits256 w[Strips];
#pragma GCC unroll 2
        for (int s = 0; s < Strips; ++s) w[s] = quad(q, s);
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) {
          const Bits256 x = values(r, q);
#pragma GCC unroll 2
          for (int s = 0; s < Strips; ++s) {
            const Bits256 product = multiply_pairs_u8_i8(w[s], x);
            pairs[r][s] = i == 0 ? product : add_i16(pairs[r][s], product);
            keep_in_register(pairs[r][s]);
          }
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int s = 0; s < Strips; ++s) {
          dot[r][s] = add_i32(dot[r][s], multiply_pairs_i16(pairs[r][s], ones));
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
TESSERAE_QUANTIZED_INLINE void dot_split_group(Values values, Plane plane, Bits256 (&dot)[Rows][2]) {
  const Bits256 ones = i16x16(1);
#pragma GCC unroll 8
  for (int q = 0; q < K::quads; ++q) {
    const Bits256 magnitude[2] = {plane(q, 0, 0), plane(q, 1, 0)};
    const Bits256 mask[2] = {plane(q, 0, 1), plane(q, 1, 1)};
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const Bits256 x = values(r, q);
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) {
        const Bits256 pairs = multiply_pairs_u8_i8(magnitude[s], bit_xor(x, mask[s]));
        dot[r][s] = add_i32(dot[r][s], multiply_pairs_i16(pairs, ones));
        keep_in_register(dot[r][s]);
      }
    }
  }
}

// Continues the chain `sum` of a row with one group (the summation rule of matmul_quantized.h).
template <typename K, int Strips>
TESSERAE_QUANTIZED_INLINE void add_group(const ActivationBlock& block, int half, const Bits256 (&dot)[Strips],
                                         const F32x8 (&scale)[Strips], const F32x8 (&min)[Strips],
                                         F32x8 (&sum)[Strips]) {
  const int32_t* of_values = K::group == 16 ? &block.half_sums[half] : &block.sum;
  const F32x8 factor = broadcast_f32x8(&block.scale);
  const Bits256 values = i32x8(*of_values);
#pragma GCC unroll 2
  for (int s = 0; s < Strips; ++s) {
    Bits256 exact = dot[s];
    if constexpr (K::offset_shift > 0) exact = sub_i32(exact, shift_left_i32(values, K::offset_shift));
    sum[s] = fma(i32_to_f32(exact), mul(scale[s], factor), sum[s]);
    if constexpr (K::has_min) {
      sum[s] = fma(min[s], mul(factor, i32_to_f32(values)), sum[s]);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
