// The kernel sets: for each instruction set the list of kernels by opcode. Chosen once, when a team is
// created; loops never name an instruction set.
#pragma once

#include <cstdint>

#include "core/op.h"

namespace tesserae {

enum class Isa : uint32_t { ref = 0, avx2 = 1 };

struct KernelInfo {
  const char* name;
  uint32_t params_bytes;
};

struct KernelSet {
  const char* isa;
  const Kernel* kernels;
};

uint32_t kernel_count();
const KernelInfo& kernel_info(uint32_t opcode);
const KernelSet& kernel_set(Isa isa);

// Whether this CPU (and operating system) can run the set.
bool isa_supported(Isa isa);

}  // namespace tesserae
