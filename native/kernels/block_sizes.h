// The block sizes of matmul: each with what it cuts and which cache it fills. Results do not depend on any of
// them (see matmul.h). TypeScript mirrors the starred ones in src/ops/matmul.ts.
#pragma once

#include <cstdint>

#include "core/op.h"

namespace tesserae {

// Micro-tile: rows × columns of C that one micro-kernel call holds in registers. 6 × 2 vectors of accumulators,
// 2 vectors of B and 1 of A fill 15 of the 16 registers, and 12 independent FMA chains cover 2 ports × 4 cycles.
constexpr int64_t kMr = 6;   // *
constexpr int64_t kNr = 16;  // * also the width of a packed panel: one cache line per k

// Cuts k. 6 rows of A, kc long (12 KiB), stay in L1 while the panels of a block of B stream past them.
constexpr int64_t kKc = 512;  // *

// Cuts n. A block of B, kc × nc (256 KiB), stays in L2 while all rows of the tile pass.
constexpr int64_t kNc = 128;  // *

// Cuts m where A is packed: mc × kc (384 KiB) of A is packed at a time, and streams once per block of B.
constexpr int64_t kMc = 192;

// Cuts m where k has several blocks: the partial sums of so many rows × nc (384 KiB) rest in scratch between blocks.
constexpr int64_t kPartialRows = 768;

// The thin path: how many rows (or, mirrored, columns) it takes, and over how many wide elements it keeps sums at a
// time: a page of one row of B at most, and 16 KiB of sums, half of L1.
constexpr int64_t kThinMax = 8;  // *
constexpr int64_t kThinStrip = 1024;
constexpr int64_t kThinSums = 4096;

// Cuts k in the thin path: so much of the thin operand (at most 64 KiB) is copied to scratch at a time.
constexpr int64_t kThinKc = 2048;

constexpr int64_t kL1Floats = (int64_t{32} << 10) / 4;
constexpr int64_t kL2Floats = (int64_t{512} << 10) / 4;
constexpr int64_t kScratchFloats = static_cast<int64_t>(kScratchBytes) / 4;

static_assert(kNr == 16, "the micro-kernels hold two vectors of 8 columns");
static_assert(kNc % kNr == 0 && kMc % kMr == 0 && kPartialRows % kMr == 0 && kKc % 8 == 0, "blocks are whole panels");
static_assert(kMr * kKc <= kL1Floats / 2, "the rows of A fill at most half of L1");
static_assert(kKc * kNc <= kL2Floats * 3 / 4, "a block of B leaves a quarter of L2 to A and C");
static_assert(kKc * kNc + kMc * kKc + kPartialRows * kNc + 16 <= kScratchFloats, "block, packed A and partial sums");
static_assert(kThinSums <= kL1Floats / 2, "the sums of a strip fill at most half of L1");
static_assert(kThinMax * (kThinStrip + kThinKc) + 1024 <= kScratchFloats, "thin accumulators and operand");

// k is cut evenly, so that no block is a sliver: 513 becomes 264 + 249, not 512 + 1.
static constexpr int64_t k_block_count(int64_t k) { return (k + kKc - 1) / kKc; }
static constexpr int64_t k_block_size(int64_t k) {
  const int64_t even = (k + k_block_count(k) - 1) / k_block_count(k);
  return (even + 7) / 8 * 8;
}

}  // namespace tesserae
