// The kernel sets: for each instruction set an array of kernels, indexed by opcode. A team's set is chosen once, when
// the team is created; no other code names an instruction set. Called by the executor, the binding and the tests.
#pragma once

#include <cstdint>

#include "core/op.h"

namespace tesserae {

// ref: the scalar reference. avx2: AVX2, FMA and F16C. avx_vnni: AVX2 with 8-bit dot products in one instruction.
// avx512: F, BW, VL, DQ and VNNI.
enum class Isa : uint32_t { ref = 0, avx2 = 1, avx_vnni = 2, avx512 = 3 };

// From the slowest to the fastest.
constexpr Isa kAllIsas[] = {Isa::ref, Isa::avx2, Isa::avx_vnni, Isa::avx512};

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
