// Builds the kernel sets from table.def. The table includes every kernel header; nothing else does.
#include "kernels/table.h"

#include "kernels/all.h"

namespace tesserae {
namespace {

constexpr KernelInfo kInfo[] = {
#define KERNEL(name, Name) {#name, sizeof(Name##Params)},
#include "kernels/table.def"
#undef KERNEL
};

constexpr Kernel kRef[] = {
#define KERNEL(name, Name) name##_ref,
#include "kernels/table.def"
#undef KERNEL
};
constexpr KernelSet kRefSet = {"ref", kRef};

#ifdef TESSERAE_HAVE_AVX2
constexpr Kernel kAvx2[] = {
#define KERNEL(name, Name) name##_avx2,
#include "kernels/table.def"
#undef KERNEL
};
constexpr KernelSet kAvx2Set = {"avx2", kAvx2};
#endif

}  // namespace

uint32_t kernel_count() { return sizeof(kInfo) / sizeof(kInfo[0]); }

const KernelInfo& kernel_info(uint32_t opcode) { return kInfo[opcode]; }

const KernelSet& kernel_set(Isa isa) {
#ifdef TESSERAE_HAVE_AVX2
  if (isa == Isa::avx2) return kAvx2Set;
#endif
  (void)isa;
  return kRefSet;
}

bool isa_supported(Isa isa) {
  if (isa == Isa::ref) return true;
#ifdef TESSERAE_HAVE_AVX2
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
  return false;
#endif
}

}  // namespace tesserae
