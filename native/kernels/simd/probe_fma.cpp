// probe_fma for the vector sets.
#include "kernels/probe_fma.h"
#include "kernels/vec/vec.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus probe_fma_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeFmaParams>();
  const Floats multiplier = splat<Floats>(static_cast<float>(p.multiplier));
  const Floats addend = splat<Floats>(static_cast<float>(p.addend));
  const Floats lanes = lane_numbers<Floats>();
  float* y = p.y + tile * kProbeLanes;
  for (int64_t first = 0; first < kProbeLanes; first += kProbeChains * kFloats) {
    Floats x[kProbeChains];
    // Unrolled, so that the chains stay in registers.
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeChains; ++chain) {
      x[chain] = add(lanes, splat<Floats>(static_cast<float>(first + kFloats * chain)));
    }
    for (int64_t i = 0; i < p.iterations; ++i) {
#pragma GCC unroll 12
      for (int chain = 0; chain < kProbeChains; ++chain) x[chain] = fma(x[chain], multiplier, addend);
    }
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeChains; ++chain) store_vector(y + first + kFloats * chain, x[chain]);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
