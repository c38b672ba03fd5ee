// Dot products of a panel for sets whose instruction multiplies two rows of eight bytes by two others (DotKind::signed_octets):
// for several rows of activations it does twice the products of dot_quad. Included by quantized_panel_rows.h and
// quantized_group.h. Not here: products of few rows, which use quads.
#pragma once

#include "kernels/simd/quantized_ordered.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// An octet is two quads: eight codes of a row of weights. A panel has, for each octet and strip, the vectors
//   rows 0 and 1, rows 4 and 5
//   rows 2 and 3, rows 6 and 7
TESSERAE_QUANTIZED_INLINE void store_octets(Bits256 even_quad, Bits256 odd_quad, Bits256* to) {
  store_aligned_bits256(to, interleave_low_i32(even_quad, odd_quad));
  store_aligned_bits256(to + 1, interleave_high_i32(even_quad, odd_quad));
}

// The exact sums of a group with two strips: dot[r][s]. start(r) is what the sums of row r begin with, octet(r, q) points to the
// values of row r for octet q; `codes` as store_octets wrote them. `Bits` is Bits256: a parameter, because other sets have no
// dot_octets.
template <typename K, int Rows, typename Bits, typename Start, typename Octet>
TESSERAE_QUANTIZED_INLINE void dot_octet_group(Start start, Octet octet, const unsigned char* codes, Bits (&dot)[Rows][2]) {
  // The last row of an odd number is its own neighbour.
  constexpr int kPairs = (Rows + 1) / 2;
  const auto second_of = [](int pair) { return 2 * pair + 1 < Rows ? 2 * pair + 1 : 2 * pair; };
  Bits sum[kPairs][4];
#pragma GCC unroll 2
  for (int p = 0; p < kPairs; ++p) {
    const int32_t first = start(2 * p), second = start(second_of(p));
    const Bits begin = i32x8(first, first, second, second, first, first, second, second);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[p][v] = begin;
  }
#pragma GCC unroll 4
  for (int q = 0; q < K::quads / 2; ++q) {
    Bits weights[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) weights[v] = load_vector(codes + (q * 4 + v) * 32);
#pragma GCC unroll 2
    for (int p = 0; p < kPairs; ++p) {
      int64_t first, second;
      __builtin_memcpy(&first, octet(2 * p, q), 8);
      __builtin_memcpy(&second, octet(second_of(p), q), 8);
      const Bits x = i64x4(first, second, first, second);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) sum[p][v] = dot_octets(sum[p][v], x, weights[v]);
    }
  }
#pragma GCC unroll 2
  for (int p = 0; p < kPairs; ++p) {
#pragma GCC unroll 2
    for (int s = 0; s < 2; ++s) {
      dot[2 * p][s] = interleave_low_i64(sum[p][2 * s], sum[p][2 * s + 1]);
      if (2 * p + 1 < Rows) dot[second_of(p)][s] = interleave_high_i64(sum[p][2 * s], sum[p][2 * s + 1]);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
