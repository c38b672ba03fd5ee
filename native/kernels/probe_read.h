// probe_read: sums a buffer that is larger than the caches. It measures the read bandwidth with which benchmarks
// compare other kernels. Recorded only by src/hardware/probes.ts.
#pragma once

#include "core/op.h"

namespace tesserae {

constexpr int64_t kMostProbeStreams = 8;
constexpr int64_t kProbeLineFloats = 16;

// A tile is read as a number of streams in turn, a cache line of each at a time. Which number is fastest depends on the
// CPU's prefetchers, and so does whether prefetches by the program help.
struct ProbeReadParams {
  Pointer<const float> x;
  Pointer<float> sums;        // [tiles]: the sum of each tile's elements
  int64_t size;       // total number of elements
  int64_t tile_size;  // elements of a tile; the last tile may have fewer
  int64_t streams;    // 1, 2, 4 or 8
  int64_t ahead;      // floats from a line to the one that is prefetched with it; 0: none is
};

KernelStatus probe_read_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
