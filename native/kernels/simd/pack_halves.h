// Packs a block of B of 16-bit elements into panels of the same elements (pack_b.h). Moves bits, so it is the same for f16
// and bf16. Called by the kernel pack_b.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/block_sizes.h"
#include "kernels/simd/transpose.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Packs `columns` (at most kNr) columns of rows first to k - 1 into the panel `to`, element by element.
inline void pack_halves_by_elements(const uint16_t* b, int64_t rs, int64_t cs, int64_t first, int64_t k, int64_t columns,
                                    uint16_t* to) {
  for (int64_t p = first; p < k; ++p) {
    for (int64_t j = 0; j < kNr; ++j) to[p * kNr + j] = j < columns ? b[p * rs + j * cs] : uint16_t{0};
  }
}

// Packs a whole panel of B with contiguous columns (weights stored [n, k]), by transposes in registers: a cache line of
// each of eight columns at a time.
inline void pack_panel_of_halves(const uint16_t* b, int64_t cs, int64_t k, uint16_t* to) {
  constexpr int64_t kLine = kCacheLineBytes / sizeof(uint16_t);
  int64_t p = 0;
  for (; p + kLine <= k; p += kLine) {
    for (int64_t j = 0; j < kNr; j += 8) {
      for (int64_t first = p; first < p + kLine; first += 16) {
        Bits256 rows[8];
#pragma GCC unroll 8
        for (int c = 0; c < 8; ++c) rows[c] = load_bits256(b + (j + c) * cs + first);
        transpose8(rows);
#pragma GCC unroll 8
        for (int q = 0; q < 8; ++q) {
          store_bits128(to + (first + q) * kNr + j, low_half(rows[q]));
          store_bits128(to + (first + 8 + q) * kNr + j, high_half(rows[q]));
        }
      }
    }
  }
  pack_halves_by_elements(b, 1, cs, p, k, kNr, to);
}

// Writes ceil(columns / kNr) panels of k × kNr elements to `to`, with zeros in the missing columns.
inline void pack_halves(const uint16_t* b, int64_t rs, int64_t cs, int64_t k, int64_t columns, uint16_t* to) {
  if (cs == 1) {  // each row is read in one run, and written to all panels
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t j = 0; j + kNr <= columns; j += kNr) std::memcpy(to + j * k + p * kNr, b + p * rs + j, kNr * sizeof(uint16_t));
    }
  }
  for (int64_t j = 0; j < columns; j += kNr) {
    const int64_t width = std::min(columns - j, kNr);
    const uint16_t* panel = b + j * cs;
    if (width == kNr && cs == 1) continue;
    if (width == kNr && rs == 1) pack_panel_of_halves(panel, cs, k, to + j * k);
    else pack_halves_by_elements(panel, rs, cs, 0, k, width, to + j * k);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
