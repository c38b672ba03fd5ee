// probe_fma for the vector sets.
#include "kernels/probe_fma.h"
#include "kernels/vec/vec.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus probe_fma_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeFmaParams>();
  const F32x8 multiplier = f32x8(static_cast<float>(p.multiplier));
  const F32x8 addend = f32x8(static_cast<float>(p.addend));
  const F32x8 lanes = f32x8(0, 1, 2, 3, 4, 5, 6, 7);
  float* y = p.y + tile * kProbeLanes;
  for (int first = 0; first < kProbeLanes; first += kProbeChains * 8) {
    F32x8 x[kProbeChains];
    // Unrolled, so that the chains stay in registers.
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeChains; ++chain) {
      x[chain] = add(lanes, f32x8(static_cast<float>(first + 8 * chain)));
    }
    for (int64_t i = 0; i < p.iterations; ++i) {
#pragma GCC unroll 12
      for (int chain = 0; chain < kProbeChains; ++chain) x[chain] = fma(x[chain], multiplier, addend);
    }
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeChains; ++chain) store_f32x8(y + first + 8 * chain, x[chain]);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
