// probe_read for the vector sets: two loads a line, one line of each stream in turn.
#include "kernels/probe_read.h"
#include "kernels/vec/vec.h"

#include <algorithm>

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus probe_read_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeReadParams>();
  const int64_t first = tile * p.tile_size;
  const int64_t size = std::min(p.tile_size, p.size - first);
  const int64_t stream_size = size / (kProbeStreams * kProbeLineFloats) * kProbeLineFloats;
  const float* x = p.x + first;
  F32x8 sums[2 * kProbeStreams];
#pragma GCC unroll 8
  for (F32x8& sum : sums) sum = f32x8(0);
  for (int64_t i = 0; i < stream_size; i += kProbeLineFloats) {
#pragma GCC unroll 4
    for (int64_t stream = 0; stream < kProbeStreams; ++stream) {
      const float* line = x + stream * stream_size + i;
      sums[2 * stream] = add(sums[2 * stream], load_f32x8(line));
      sums[2 * stream + 1] = add(sums[2 * stream + 1], load_f32x8(line + 8));
    }
  }
  float lanes[8];
  float total = 0;
  for (const F32x8& sum : sums) {
    store_f32x8(lanes, sum);
    for (const float lane : lanes) total += lane;
  }
  for (int64_t i = kProbeStreams * stream_size; i < size; ++i) total += x[i];
  p.sums[tile] = total;
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
