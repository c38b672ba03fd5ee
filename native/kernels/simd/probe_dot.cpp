// probe_dot for the vector sets.
#include "kernels/probe_dot.h"

#include <cstring>

#include "kernels/vec/vec.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

// Vectors of sixteen lanes where their dot product is one instruction.
#ifdef __AVX512VNNI__
using Integers = Bits512;
TESSERAE_INLINE Integers load(const unsigned char* p) { return load_bits512(p); }
TESSERAE_INLINE void store(int32_t* p, Integers v) { store_bits512(p, v); }
TESSERAE_INLINE Integers zeros() { return i32x16(0); }
#else
using Integers = Bits256;
TESSERAE_INLINE Integers load(const unsigned char* p) { return load_bits256(p); }
TESSERAE_INLINE void store(int32_t* p, Integers v) { store_bits256(p, v); }
TESSERAE_INLINE Integers zeros() { return i32x8(0); }
#endif
constexpr int64_t kIntegers = sizeof(Integers) / sizeof(int32_t);

// Makes a value unknown to the compiler, without an instruction. It would find otherwise that all chains multiply the same
// factors, and do that once. In WebAssembly there is no such thing, and the peak may come out too high.
TESSERAE_INLINE void hide(Integers& v) {
#if defined(__aarch64__)
  asm("" : "+w"(v.low), "+w"(v.high));
#elif defined(__x86_64__) && !defined(__AVX2__)
  asm("" : "+x"(v.low), "+x"(v.high));
#else
  keep_in_register(v);
#endif
}

// One step of a chain, and its iterations: an iteration adds four products to each lane, and an instruction that multiplies
// rows of eight bytes adds eight.
#ifdef __ARM_FEATURE_MATMUL_INT8
constexpr int64_t kStepIterations = 2;
TESSERAE_INLINE Integers probe_step(Integers sum, Integers codes, Integers x) { return dot_octets(sum, x, codes); }
#else
constexpr int64_t kStepIterations = 1;
TESSERAE_INLINE Integers probe_step(Integers sum, Integers codes, Integers x) { return dot_quad(sum, codes, x); }
#endif

KernelStatus probe_dot_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<ProbeDotParams>();
  constexpr int64_t kBytes = sizeof(Integers);
  std::memset(scratch.data, kProbeCode, 2 * kBytes);
  std::memset(scratch.data + 2 * kBytes, kProbeValue, 2 * kBytes);
  int32_t* y = p.y + tile * kProbeDotLanes;
  for (int64_t first = 0; first < kProbeDotLanes; first += kProbeDotChains * kIntegers) {
    Integers sum[kProbeDotChains];
    // Unrolled, so that the chains stay in registers.
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeDotChains; ++chain) {
      sum[chain] = zeros();
      hide(sum[chain]);
    }
    for (int64_t i = 0; i < p.iterations; i += kStepIterations) {
      // From memory in turn, as products read them.
      const unsigned char* factors = scratch.data + (i / kStepIterations & 1) * kBytes;
      const Integers codes = load(factors);
      Integers x = load(factors + 2 * kBytes);
#pragma GCC unroll 12
      for (int chain = 0; chain < kProbeDotChains; ++chain) {
        hide(x);
        sum[chain] = probe_step(sum[chain], codes, x);
        hide(sum[chain]);
      }
    }
#pragma GCC unroll 12
    for (int chain = 0; chain < kProbeDotChains; ++chain) store(y + first + kIntegers * chain, sum[chain]);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
