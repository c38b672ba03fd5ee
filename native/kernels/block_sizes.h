// The block sizes of matmul: what each one cuts and which cache it fills. Results do not depend on them (see matmul.h).
// The engine chooses kc, nc and mc (src/machine/block-sizes.ts); the defaults here are for 32 KiB of L1, 512 KiB of L2
// and a micro-tile of 6 × 16. src/ops/matmul/matmul-tiles.ts mirrors the constants marked with *.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/op.h"

namespace tesserae {

// The micro-tile of AVX2: rows × columns of C that one micro-kernel call holds in registers. 6 × 2 vectors of
// accumulators, 2 vectors of B and 1 of A fill 15 of the 16 registers; 12 independent FMA chains cover 2 ports × 4
// cycles.
constexpr int64_t kMr = 6;
constexpr int64_t kNr = 16;  // * also the width of a packed panel: one cache line per k

// How a product is cut; part of the parameters of matmul and pack_b. Sizes in parentheses are those of the defaults.
struct BlockSizes {
  // Splits k. 6 rows of A, kc long (12 KiB), stay in L1 while the panels of a block of B stream past them. A multiple
  // of 8.
  int64_t kc;
  // Splits n. A block of B, kc × nc (256 KiB), stays in L2 while all rows of the tile pass. A multiple of kNr.
  int64_t nc;
  // Splits m if A is packed: mc × kc (384 KiB) of A is packed at a time, and streams once per block of B. A multiple of
  // kMr.
  int64_t mc;
};
constexpr BlockSizes kDefaultBlockSizes = {512, 128, 192};

// The thin path (simd/matmul_thin_loops.h). "Rows" are rows of A, or columns of B if the roles are mirrored.
constexpr int64_t kThinMax = 32;      // * most rows of the thin operand
constexpr int64_t kThinFew = 8;       // * up to this many rows the sums along columns are kept in registers
constexpr int64_t kThinStrip = 1024;  // most wide elements whose sums are kept at a time: one page of an f32 row of B
constexpr int64_t kThinSums = 4096;   // most sums in L1 at a time: 16 KiB, half of it
constexpr int64_t kThinKc = 2048;     // splits k: kThinMax × kThinKc of the thin operand, 256 KiB, are in scratch

constexpr int64_t kL1Floats = (int64_t{32} << 10) / 4;
constexpr int64_t kScratchFloats = static_cast<int64_t>(kScratchBytes) / 4;

// The blocked loops use scratch for a block of B, a block of packed A with 16 floats more, and partial sums that are
// kept from one block of k to the next. If k has several blocks, the room for partial sums splits m: partial_rows is
// how many rows fit, in whole micro-tiles.
static constexpr int64_t partial_floats(const BlockSizes& blocks) {
  return kScratchFloats - blocks.kc * blocks.nc - blocks.mc * blocks.kc - 16;
}
template <int64_t rows_of_micro_tile>
static constexpr int64_t partial_rows(const BlockSizes& blocks, int64_t columns) {
  const int64_t rows = partial_floats(blocks) / columns;
  return rows < rows_of_micro_tile ? rows : rows / rows_of_micro_tile * rows_of_micro_tile;
}
// Rows of A that a tile norms take the place of packed A: they have unit column stride, and are never packed.
static constexpr int64_t normed_floats(const BlockSizes& blocks) { return blocks.mc * blocks.kc; }
static constexpr bool block_sizes_valid(const BlockSizes& blocks) {
  constexpr int64_t kMost = int64_t{1} << 16;
  const bool in_range = blocks.kc > 0 && blocks.nc > 0 && blocks.mc > 0 && blocks.kc <= kMost && blocks.nc <= kMost &&
                        blocks.mc <= kMost;
  return in_range && blocks.kc % 8 == 0 && blocks.nc % kNr == 0 && blocks.mc % kMr == 0 &&
         partial_floats(blocks) >= kMr * blocks.nc;
}

static_assert(kNr == 16, "the micro-kernels hold two vectors of 8 columns");
static_assert(block_sizes_valid(kDefaultBlockSizes) && partial_floats(kDefaultBlockSizes) >= 1024 * kDefaultBlockSizes.nc);
static_assert(kThinSums <= kL1Floats / 2, "the sums of a strip fill at most half of L1");
static_assert(kThinMax * (kThinStrip + kThinKc) + 1024 <= kScratchFloats, "thin accumulators and operand");

// k is cut into blocks of about equal size: with kc 512, k = 513 becomes 264 + 249, not 512 + 1.
static constexpr int64_t k_block_count(int64_t k, int64_t kc) { return (k + kc - 1) / kc; }
static constexpr int64_t k_block_size(int64_t k, int64_t kc) {
  const int64_t even = (k + k_block_count(k, kc) - 1) / k_block_count(k, kc);
  return (even + 7) / 8 * 8;
}

}  // namespace tesserae
