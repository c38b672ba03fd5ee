// probe_fma: fused multiply-adds on registers only. It measures the peak of FMA throughput with which benchmarks
// compare other kernels; its result is of no use. Recorded by src/ops/probe-fma.ts.
#pragma once

#include "core/op.h"

namespace tesserae {

// Number of independent chains of vectors: enough for two FMA units with a latency of five cycles, and few enough to
// leave registers for the two constants. kProbeLanes is for vectors of 16 lanes; narrower sets run several passes.
constexpr int kProbeChains = 12;
constexpr int kProbeLanes = kProbeChains * 16;

struct ProbeFmaParams {
  Pointer<float> y;            // [tiles, kProbeLanes]: x after `iterations` steps x = x · multiplier + addend, from x = lane
  int64_t iterations;  // 2 · kProbeLanes flops each
  double multiplier;   // both rounded to f32 before use
  double addend;
};

KernelStatus probe_fma_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
