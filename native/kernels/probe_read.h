// probe_read: sums a buffer that no cache holds. Measures the read bandwidth that other kernels are compared with.
// Recorded by bench/probe-ops.ts alone.
#pragma once

#include "core/op.h"

namespace tesserae {

// A tile is read as so many streams at once, line by line, so that the prefetchers work on several pages.
constexpr int64_t kProbeStreams = 4;
constexpr int64_t kProbeLineFloats = 16;

struct ProbeReadParams {
  const float* x;
  float* sums;        // [tiles]: the sum of each tile's elements
  int64_t size;       // elements in all
  int64_t tile_size;  // elements of a tile; the last one may have fewer
};

KernelStatus probe_read_ref(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus probe_read_avx2(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
