// checksum for the vector sets: the lanes are those of a vector. The end of a buffer is read through a copy.
#include "kernels/checksum.h"

#include <algorithm>
#include <cstring>

#include "kernels/vec/vec.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

KernelStatus checksum_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ChecksumParams>();
  const int64_t first = tile * kChecksumChunk, last = std::min(first + kChecksumChunk, p.size);
  Bits256 sum = i32x8(0), order = i32x8(0);
  const auto take = [&](const unsigned char* words) {
    sum = add_i32(sum, load_bits256(words));
    order = add_i32(order, sum);
  };
  int64_t at = first;
  for (; at + 32 <= last; at += 32) take(p.x + at);
  uint32_t sums[kChecksumLanes], orders[kChecksumLanes];
  store_bits256(sums, sum);
  store_bits256(orders, order);
  if (at < last) {
    // A lane without a word here adds nothing to `order` either.
    uint32_t words[kChecksumLanes] = {};
    std::memcpy(words, p.x + at, static_cast<size_t>(last - at));
    for (int lane = 0; at + lane * 4 < last; ++lane) {
      sums[lane] += words[lane];
      orders[lane] += sums[lane];
    }
  }
  p.sums[tile * 2] = mixed_lanes(sums);
  p.sums[tile * 2 + 1] = mixed_lanes(orders);
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
