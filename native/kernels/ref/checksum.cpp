// Scalar reference of checksum, the oracle of its tests.
#include "kernels/checksum.h"

#include <algorithm>
#include <cstring>

namespace tesserae {

KernelStatus checksum_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ChecksumParams>();
  const int64_t first = tile * kChecksumChunk, last = std::min(first + kChecksumChunk, p.size);
  uint32_t sum[kChecksumLanes] = {}, order[kChecksumLanes] = {};
  for (int64_t at = first, lane = 0; at < last; at += 4, lane = (lane + 1) % kChecksumLanes) {
    uint32_t word = 0;
    std::memcpy(&word, p.x + at, static_cast<size_t>(std::min(last - at, int64_t{4})));
    sum[lane] += word;
    order[lane] += sum[lane];
  }
  p.sums[tile * 2] = mixed_lanes(sum);
  p.sums[tile * 2 + 1] = mixed_lanes(order);
  return KernelStatus::ok;
}

}  // namespace tesserae
