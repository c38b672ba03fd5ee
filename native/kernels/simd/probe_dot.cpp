// probe_dot for the vector sets with eight lanes.
#include "kernels/probe_dot.h"

#include <cstring>

#include "kernels/vec/vec.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

// Makes a value unknown to the compiler, without an instruction. It would find otherwise that all chains multiply the same
// factors, and do that once. In WebAssembly there is no such thing, and the peak may come out too high.
TESSERAE_INLINE void hide(Bits256& v) {
#if defined(__AVX2__)
  asm("" : "+x"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v.low), "+w"(v.high));
#elif defined(__x86_64__)
  asm("" : "+x"(v.low), "+x"(v.high));
#else
  static_cast<void>(v);
#endif
}

// One step of a chain: four products to each lane, or eight where an instruction multiplies rows of eight bytes.
TESSERAE_INLINE Bits256 probe_step(Bits256 sum, Bits256 codes, Bits256 x) {
#ifdef __ARM_FEATURE_MATMUL_INT8
  return dot_octets(sum, x, codes);
#else
  return dot_quad(sum, codes, x);
#endif
}

KernelStatus probe_dot_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
#ifdef __ARM_FEATURE_MATMUL_INT8
  constexpr int64_t kIterations = 2;  // of a step
#else
  constexpr int64_t kIterations = 1;
#endif
  constexpr int64_t kLanes = 8;
  const auto& p = op.as<ProbeDotParams>();
  std::memset(scratch.data, kProbeCode, 64);
  std::memset(scratch.data + 64, kProbeValue, 64);
  int32_t* y = p.y + tile * kProbeDotLanes;
  for (int64_t first = 0; first < kProbeDotLanes; first += kProbeDotChains * kLanes) {
    Bits256 sum[kProbeDotChains];
    // Unrolled, so that the chains stay in registers.
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeDotChains; ++chain) {
      sum[chain] = i32x8(0);
      hide(sum[chain]);
    }
    for (int64_t i = 0; i < p.iterations; i += kIterations) {
      // From memory in turn, as products read them.
      const unsigned char* factors = scratch.data + (i / kIterations & 1) * 32;
      const Bits256 codes = load_bits256(factors);
      Bits256 x = load_bits256(factors + 64);
#pragma GCC unroll 12
      for (int chain = 0; chain < kProbeDotChains; ++chain) {
        hide(x);
        sum[chain] = probe_step(sum[chain], codes, x);
        hide(sum[chain]);
      }
    }
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeDotChains; ++chain) store_bits256(y + first + kLanes * chain, sum[chain]);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
