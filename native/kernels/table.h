// The kernel sets: for each instruction set the list of kernels by opcode. Chosen once, when a team is
// created; loops never name an instruction set.
#pragma once

#include <cstdint>

#include "core/op.h"

namespace tesserae {

// avx_vnni: the AVX2 kernels, and 8-bit dot products as single instructions. avx512: F, BW, VL, DQ and VNNI.
enum class Isa : uint32_t { ref = 0, avx2 = 1, avx_vnni = 2, avx512 = 3 };

// The better, the later.
constexpr Isa kAllIsas[] = {Isa::ref, Isa::avx2, Isa::avx_vnni, Isa::avx512};

struct KernelInfo {
  const char* name;
  uint32_t params_bytes;
};

struct KernelSet {
  const char* isa;
  const Kernel* kernels;
  // Of the micro-kernel that matmul's large tiles take: what block sizes should be multiples of.
  int64_t micro_rows;
  int64_t micro_columns;
  // Up to so many rows matmul's thin path is faster than packing a wide operand whose k is contiguous.
  int64_t thin_across;
};

uint32_t kernel_count();
const KernelInfo& kernel_info(uint32_t opcode);
const KernelSet& kernel_set(Isa isa);

// Whether this CPU (and operating system) can run the set.
bool isa_supported(Isa isa);

}  // namespace tesserae
