// probe_fma with AVX2.
#include "kernels/probe_fma.h"

#include <immintrin.h>

namespace tesserae {

KernelStatus probe_fma_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeFmaParams>();
  const __m256 multiplier = _mm256_set1_ps(static_cast<float>(p.multiplier));
  const __m256 addend = _mm256_set1_ps(static_cast<float>(p.addend));
  const __m256 lanes = _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
  float* y = p.y + tile * kProbeLanes;
  for (int first = 0; first < kProbeLanes; first += kProbeChains * 8) {
    __m256 x[kProbeChains];
    // Unrolled, so that the chains stay in registers.
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeChains; ++chain) {
      x[chain] = _mm256_add_ps(lanes, _mm256_set1_ps(static_cast<float>(first + 8 * chain)));
    }
    for (int64_t i = 0; i < p.iterations; ++i) {
#pragma GCC unroll 12
      for (int chain = 0; chain < kProbeChains; ++chain) x[chain] = _mm256_fmadd_ps(x[chain], multiplier, addend);
    }
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeChains; ++chain) _mm256_storeu_ps(y + first + 8 * chain, x[chain]);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
