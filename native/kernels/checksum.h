// checksum: two sums for each MiB of a buffer, by which damage to a stored image of weights is found. No protection
// against deliberate changes. Recorded by src/checkpoint/image/checksum.ts.
#pragma once

#include "core/op.h"

namespace tesserae {

constexpr int64_t kChecksumChunk = int64_t{1} << 20;  // bytes of a tile
constexpr int kChecksumLanes = 8;

// Word i of a chunk (32 bits, little endian; the last one padded with zeros) belongs to lane i % 8. A lane adds up its
// words to `sum`, and that, after each word, to `order`. The lanes are combined by mixed_lanes.
struct ChecksumParams {
  Pointer<const unsigned char> x;
  Pointer<uint32_t> sums;  // [chunks][2]: of `sum`, of `order`
  int64_t size;    // bytes
};

KernelStatus checksum_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

static inline uint32_t mixed_lanes(const uint32_t* lanes) {
  uint32_t mixed = 0;
  for (int lane = 0; lane < kChecksumLanes; ++lane) mixed = mixed * 0x9e3779b1u + lanes[lane];
  return mixed;
}

}  // namespace tesserae
