// probe_fma with AVX-512.
#include "kernels/probe_fma.h"

#include <immintrin.h>

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus probe_fma_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ProbeFmaParams>();
  const __m512 multiplier = _mm512_set1_ps(static_cast<float>(p.multiplier));
  const __m512 addend = _mm512_set1_ps(static_cast<float>(p.addend));
  const __m512 lanes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512 x[kProbeChains];
  // Unrolled, so that the chains stay in registers.
#pragma GCC unroll 12
  for (int chain = 0; chain < kProbeChains; ++chain) {
    x[chain] = _mm512_add_ps(lanes, _mm512_set1_ps(static_cast<float>(16 * chain)));
  }
  for (int64_t i = 0; i < p.iterations; ++i) {
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeChains; ++chain) x[chain] = _mm512_fmadd_ps(x[chain], multiplier, addend);
  }
  float* y = p.y + tile * kProbeLanes;
#pragma GCC unroll 12
  for (int chain = 0; chain < kProbeChains; ++chain) _mm512_storeu_ps(y + 16 * chain, x[chain]);
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
