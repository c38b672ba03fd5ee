// probe_read with AVX2: two loads a line, one line of each stream in turn.
#include "kernels/probe_read.h"

#include <immintrin.h>

#include <algorithm>

namespace tesserae {

KernelStatus probe_read_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeReadParams>();
  const int64_t first = tile * p.tile_size;
  const int64_t size = std::min(p.tile_size, p.size - first);
  const int64_t stream_size = size / (kProbeStreams * kProbeLineFloats) * kProbeLineFloats;
  const float* x = p.x + first;
  __m256 sums[2 * kProbeStreams];
#pragma GCC unroll 8
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < stream_size; i += kProbeLineFloats) {
#pragma GCC unroll 4
    for (int64_t stream = 0; stream < kProbeStreams; ++stream) {
      const float* line = x + stream * stream_size + i;
      sums[2 * stream] = _mm256_add_ps(sums[2 * stream], _mm256_loadu_ps(line));
      sums[2 * stream + 1] = _mm256_add_ps(sums[2 * stream + 1], _mm256_loadu_ps(line + 8));
    }
  }
  float lanes[8];
  float total = 0;
  for (const __m256& sum : sums) {
    _mm256_storeu_ps(lanes, sum);
    for (const float lane : lanes) total += lane;
  }
  for (int64_t i = kProbeStreams * stream_size; i < size; ++i) total += x[i];
  p.sums[tile] = total;
  return KernelStatus::ok;
}

}  // namespace tesserae
