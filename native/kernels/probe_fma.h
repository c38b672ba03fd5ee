// probe_fma: as many fused multiply-adds as the registers take, on nothing but registers. Measures the peak that other
// kernels are compared with; computes nothing of use. Recorded by bench/probe-ops.ts alone.
#pragma once

#include "core/op.h"

namespace tesserae {

// Independent chains of vectors: enough to keep two units of five cycles' latency busy, few enough to leave registers for
// the two constants. Lanes for the widest vectors; narrower ones pass several times.
constexpr int kProbeChains = 12;
constexpr int kProbeLanes = kProbeChains * 16;

struct ProbeFmaParams {
  float* y;            // [tiles, kProbeLanes]: x after `iterations` times x = x · multiplier + addend, from x = lane
  int64_t iterations;  // 2 · kProbeLanes flops each
  double multiplier;   // both rounded to f32 before use
  double addend;
};

KernelStatus probe_fma_ref(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus probe_fma_avx2(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus probe_fma_avx512(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
