// Builds the kernel sets from table.def. The only file that includes every kernel's header (all.h).
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

#ifdef TESSERAE_HAVE_AVX2
constexpr Kernel kAvx2[] = {
#define KERNEL(name, Name) name##_avx2,
#include "kernels/table.def"
#undef KERNEL
};

constexpr Kernel kAvxVnni[] = {
#define KERNEL(name, Name) name##_avx2,
#define KERNEL_OF_INTEGERS(name, Name) name##_avx_vnni,
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL
};

constexpr Kernel kAvx512[] = {
#define KERNEL(name, Name) name##_avx2,
#define KERNEL_OF_FLOATS(name, Name) name##_avx512,
#define KERNEL_OF_INTEGERS(name, Name) name##_avx512,
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL_OF_FLOATS
#undef KERNEL
};
#endif

}  // namespace

uint32_t kernel_count() { return sizeof(kInfo) / sizeof(kInfo[0]); }

const KernelInfo& kernel_info(uint32_t opcode) { return kInfo[opcode]; }

const KernelSet& kernel_set(Isa isa) {
  static constexpr KernelSet kSets[] = {
      {"ref", kRef, 6, 16, kThinFew},
#ifdef TESSERAE_HAVE_AVX2
      {"avx2", kAvx2, 6, 16, kThinFew},
      {"avx_vnni", kAvxVnni, 6, 16, kThinFew},
      {"avx512", kAvx512, 8, 48, 20},
#else
      {"avx2", nullptr, 0, 0, 0},
      {"avx_vnni", nullptr, 0, 0, 0},
      {"avx512", nullptr, 0, 0, 0},
#endif
  };
  return kSets[static_cast<uint32_t>(isa)];
}

bool isa_supported(Isa isa) {
  if (isa == Isa::ref) return true;
#ifdef TESSERAE_HAVE_AVX2
  // These builtins also check that the operating system saves the registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avx_vnni) return avx2 && __builtin_cpu_supports("avxvnni");
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

}  // namespace tesserae
