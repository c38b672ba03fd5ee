// probe_read for the vector sets: two loads a line, one line of each stream in turn.
#include "kernels/probe_read.h"
#include "kernels/vec/vec.h"

#include <algorithm>

namespace tesserae {
namespace {

template <int Streams>
float sum_of(const float* x, int64_t size, int64_t ahead) {
  const int64_t stream_size = size / (Streams * kProbeLineFloats) * kProbeLineFloats;
  F32x8 sums[2 * Streams];
#pragma GCC unroll 16
  for (F32x8& sum : sums) sum = f32x8(0);
  const auto read = [&](auto before_line) __attribute__((always_inline)) {
    for (int64_t i = 0; i < stream_size; i += kProbeLineFloats) {
#pragma GCC unroll 8
      for (int64_t stream = 0; stream < Streams; ++stream) {
        const float* line = x + stream * stream_size + i;
        before_line(line);
        sums[2 * stream] = add(sums[2 * stream], load_f32x8(line));
        sums[2 * stream + 1] = add(sums[2 * stream + 1], load_f32x8(line + 8));
      }
    }
  };
  if (ahead == 0) read([](const float*) {});
  else read([ahead](const float* line) { prefetch(line + ahead); });
  float lanes[8];
  float total = 0;
  for (const F32x8& sum : sums) {
    store_f32x8(lanes, sum);
    for (const float lane : lanes) total += lane;
  }
  for (int64_t i = Streams * stream_size; i < size; ++i) total += x[i];
  return total;
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus probe_read_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeReadParams>();
  const int64_t first = tile * p.tile_size;
  const int64_t size = std::min(p.tile_size, p.size - first);
  const auto sum = p.streams == 1 ? sum_of<1> : p.streams == 2 ? sum_of<2> : p.streams == 4 ? sum_of<4> : sum_of<8>;
  p.sums[tile] = sum(p.x + first, size, p.ahead);
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
