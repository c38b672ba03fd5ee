// Scalar reference of probe_read, the oracle of its tests.
#include "kernels/probe_read.h"

#include <algorithm>

namespace tesserae {

KernelStatus probe_read_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeReadParams>();
  const int64_t first = tile * p.tile_size;
  const int64_t last = std::min(first + p.tile_size, p.size);
  float sum = 0;
  for (int64_t i = first; i < last; ++i) sum += p.x[i];
  p.sums[tile] = sum;
  return KernelStatus::ok;
}

}  // namespace tesserae
