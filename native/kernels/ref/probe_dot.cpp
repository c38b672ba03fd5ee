// Scalar reference of probe_dot, the oracle of its tests.
#include "kernels/probe_dot.h"

namespace tesserae {

KernelStatus probe_dot_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeDotParams>();
  int32_t* y = p.y + tile * kProbeDotLanes;
  for (int lane = 0; lane < kProbeDotLanes; ++lane) {
    int32_t sum = 0;
    for (int64_t i = 0; i < p.iterations; ++i) sum += kProbeQuad;
    y[lane] = sum;
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
