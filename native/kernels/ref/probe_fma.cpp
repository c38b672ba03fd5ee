// Scalar reference of probe_fma, the oracle of its tests.
#include "kernels/probe_fma.h"

#include <cmath>

namespace tesserae {

KernelStatus probe_fma_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeFmaParams>();
  const float multiplier = static_cast<float>(p.multiplier);
  const float addend = static_cast<float>(p.addend);
  float* y = p.y + tile * kProbeLanes;
  for (int lane = 0; lane < kProbeLanes; ++lane) {
    float x = static_cast<float>(lane);
    for (int64_t i = 0; i < p.iterations; ++i) x = std::fma(x, multiplier, addend);
    y[lane] = x;
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
