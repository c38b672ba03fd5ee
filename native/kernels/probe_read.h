// probe_read: sums a buffer that is larger than the caches. It measures the read bandwidth with which benchmarks
// compare other kernels. Recorded only by src/hardware/probes.ts.
#pragma once

#include "core/op.h"

namespace tesserae {

// A tile is read as kProbeStreams streams in turn, a cache line of each at a time, so that the hardware prefetchers
// work on several pages.
constexpr int64_t kProbeStreams = 4;
constexpr int64_t kProbeLineFloats = 16;

struct ProbeReadParams {
  const float* x;
  float* sums;        // [tiles]: the sum of each tile's elements
  int64_t size;       // total number of elements
  int64_t tile_size;  // elements of a tile; the last tile may have fewer
};

KernelStatus probe_read_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
