// probe_dot with AVX-512 VNNI.
#include "kernels/probe_dot.h"

#include <immintrin.h>

#include <cstring>

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus probe_dot_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<ProbeDotParams>();
  // As in simd/probe_dot.cpp.
  std::memset(scratch.data, kProbeCode, 128);
  std::memset(scratch.data + 128, kProbeValue, 128);
  __m512i sum[kProbeDotChains];
#pragma GCC unroll 12
  for (int chain = 0; chain < kProbeDotChains; ++chain) {
    sum[chain] = _mm512_setzero_si512();
    asm("" : "+v"(sum[chain]));  // or the compiler would find that all chains have the same sums
  }
  for (int64_t i = 0; i < p.iterations; ++i) {
    const unsigned char* factors = scratch.data + (i & 1) * 64;
    const __m512i codes = _mm512_load_si512(factors), x = _mm512_load_si512(factors + 128);
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeDotChains; ++chain) sum[chain] = _mm512_dpbusd_epi32(sum[chain], codes, x);
  }
#pragma GCC unroll 12
  for (int chain = 0; chain < kProbeDotChains; ++chain) {
    _mm512_storeu_si512(p.y + tile * kProbeDotLanes + chain * 16, sum[chain]);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
