// The block sizes of matmul: each with what it cuts and which cache it fills. Results do not depend on any of
// them (see matmul.h). The engine chooses kc, nc and mc (src/block-sizes.ts); what stands here are the values for
// 32 KiB of L1, 512 KiB of L2 and 6 × 16. TypeScript mirrors the starred ones in src/ops/matmul-tiles.ts.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/op.h"

namespace tesserae {

// Micro-tile of AVX2: rows × columns of C that one micro-kernel call holds in registers. 6 × 2 vectors of accumulators,
// 2 vectors of B and 1 of A fill 15 of the 16 registers, and 12 independent FMA chains cover 2 ports × 4 cycles.
constexpr int64_t kMr = 6;   // *
constexpr int64_t kNr = 16;  // * also the width of a packed panel: one cache line per k

// How a product is cut; part of the parameters of matmul and pack_b.
struct BlockSizes {
  // Cuts k. 6 rows of A, kc long (12 KiB), stay in L1 while the panels of a block of B stream past them. A multiple of 8.
  int64_t kc;
  // Cuts n. A block of B, kc × nc (256 KiB), stays in L2 while all rows of the tile pass. A multiple of kNr.
  int64_t nc;
  // Cuts m where A is packed: mc × kc (384 KiB) of A is packed at a time, and streams once per block of B. A multiple
  // of kMr.
  int64_t mc;
};
constexpr BlockSizes kDefaultBlockSizes = {512, 128, 192};

// The thin path: how many rows (or, mirrored, columns) it takes, of how few the sums are registers where it can be, and over
// how many wide elements it keeps sums at a time: a page of one row of B at most, and 16 KiB of sums, half of L1.
constexpr int64_t kThinMax = 32;  // *
constexpr int64_t kThinFew = 8;
constexpr int64_t kThinStrip = 1024;
constexpr int64_t kThinSums = 4096;

// Cuts k in the thin path: so much of the thin operand (at most 256 KiB) is copied to scratch at a time.
constexpr int64_t kThinKc = 2048;

constexpr int64_t kL1Floats = (int64_t{32} << 10) / 4;
constexpr int64_t kScratchFloats = static_cast<int64_t>(kScratchBytes) / 4;

// The scratch of the blocked loops: a block of B, packed A with a little more, and in the rest the partial sums that wait
// between blocks of k. These cut m where k has several blocks: into as many rows as have room, in whole micro-tiles.
static constexpr int64_t partial_floats(const BlockSizes& blocks) {
  return kScratchFloats - blocks.kc * blocks.nc - blocks.mc * blocks.kc - 16;
}
template <int64_t rows_of_micro_tile>
static constexpr int64_t partial_rows(const BlockSizes& blocks, int64_t columns) {
  const int64_t rows = partial_floats(blocks) / columns;
  return rows < rows_of_micro_tile ? rows : rows / rows_of_micro_tile * rows_of_micro_tile;
}
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

// k is cut evenly, so that no block is a sliver: with kc 512, 513 becomes 264 + 249, not 512 + 1.
static constexpr int64_t k_block_count(int64_t k, int64_t kc) { return (k + kc - 1) / kc; }
static constexpr int64_t k_block_size(int64_t k, int64_t kc) {
  const int64_t even = (k + k_block_count(k, kc) - 1) / k_block_count(k, kc);
  return (even + 7) / 8 * 8;
}

}  // namespace tesserae
