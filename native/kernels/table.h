// The kernel sets: for each instruction set an array of kernels, indexed by opcode. A team's set is chosen once, when
// the team is created; no other code names an instruction set. Called by the executor, the binding and the tests.
#pragma once

#include <cstdint>

#include "core/op.h"

namespace tesserae {

// ref: the scalar reference, the tests' oracle. portable: the vector kernels in plain C++, for any CPU. avx2: AVX2, FMA
// and F16C. avx_vnni: AVX2 with 8-bit dot products in one instruction. avx512_floats: AVX-512 F, BW, VL and DQ, and the
// integer products of avx2. avx512: the same, and integer products with VNNI. neon: arm64. neon_dot: NEON with 8-bit dot
// products in one instruction. neon_i8mm: and with products of 8-bit matrices in one.
enum class Isa : uint32_t {
  ref = 0,
  portable = 1,
  avx2 = 2,
  avx_vnni = 3,
  avx512_floats = 4,
  avx512 = 5,
  neon = 6,
  neon_dot = 7,
  neon_i8mm = 8,
};

// From the slowest to the fastest. The library chooses the last one that the CPU can run, and never ref.
constexpr Isa kAllIsas[] = {Isa::ref,    Isa::portable, Isa::avx2,     Isa::avx_vnni, Isa::avx512_floats,
                            Isa::avx512, Isa::neon,     Isa::neon_dot, Isa::neon_i8mm};

struct KernelInfo {
  const char* name;
  uint32_t params_bytes;
};

struct KernelSet {
  const char* isa;
  const Kernel* kernels;
  // Rows and columns of the micro-kernel for matmul's large tiles; block sizes should be multiples of them.
  int64_t micro_rows;
  int64_t micro_columns;
  // Up to this many rows matmul's thin path is faster than packing a wide operand whose k is contiguous.
  int64_t thin_across;
};

uint32_t kernel_count();
const KernelInfo& kernel_info(uint32_t opcode);
const KernelSet& kernel_set(Isa isa);

// Whether this CPU (and operating system) can run the set.
bool isa_supported(Isa isa);

}  // namespace tesserae
