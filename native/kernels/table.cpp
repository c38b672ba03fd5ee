// Builds the kernel sets from table.def. The only file that includes every kernel's header (all.h).
#include "kernels/table.h"

#ifdef TESSERAE_HAVE_NEON
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "kernels/all.h"

namespace tesserae {

// The kernels of each set are name_simd in the set's namespace.
#define DECLARE_KERNEL(name) KernelStatus name##_simd(const OpRecord& op, int64_t tile, Scratch& scratch);
#define NO_KERNEL(name, Name)

#ifdef TESSERAE_HAVE_PORTABLE
namespace portable {
#define KERNEL(name, Name) DECLARE_KERNEL(name)
#include "kernels/table.def"
#undef KERNEL
}  // namespace portable
#endif

#ifdef TESSERAE_HAVE_AVX2
namespace avx2 {
#define KERNEL(name, Name) DECLARE_KERNEL(name)
#include "kernels/table.def"
#undef KERNEL
}  // namespace avx2

namespace avx_vnni {
#define KERNEL NO_KERNEL
#define KERNEL_OF_INTEGERS(name, Name) DECLARE_KERNEL(name)
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL
}  // namespace avx_vnni

namespace avx512 {
#define KERNEL NO_KERNEL
#define KERNEL_OF_FLOATS(name, Name) DECLARE_KERNEL(name)
#include "kernels/table.def"
#undef KERNEL_OF_FLOATS
#undef KERNEL
}  // namespace avx512

namespace avx512_vnni {
#define KERNEL NO_KERNEL
#define KERNEL_OF_INTEGERS(name, Name) DECLARE_KERNEL(name)
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL
}  // namespace avx512_vnni
#endif

#ifdef TESSERAE_HAVE_NEON
namespace neon {
#define KERNEL(name, Name) DECLARE_KERNEL(name)
#include "kernels/table.def"
#undef KERNEL
}  // namespace neon

namespace neon_dot {
#define KERNEL NO_KERNEL
#define KERNEL_OF_INTEGERS(name, Name) DECLARE_KERNEL(name)
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL
}  // namespace neon_dot

namespace neon_i8mm {
#define KERNEL NO_KERNEL
#define KERNEL_OF_INTEGERS(name, Name) DECLARE_KERNEL(name)
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL
}  // namespace neon_i8mm
#endif

namespace {

constexpr KernelInfo kInfo[] = {
#define KERNEL(name, Name) {#name, sizeof(Name##Params)},
#include "kernels/table.def"
#undef KERNEL
};

// WebAssembly has no reference: it allocates memory.
#ifndef __wasm__
constexpr Kernel kRef[] = {
#define KERNEL(name, Name) name##_ref,
#include "kernels/table.def"
#undef KERNEL
};
#endif

#ifdef TESSERAE_HAVE_PORTABLE
constexpr Kernel kPortable[] = {
#define KERNEL(name, Name) portable::name##_simd,
#include "kernels/table.def"
#undef KERNEL
};
#endif

#ifdef TESSERAE_HAVE_AVX2
constexpr Kernel kAvx2[] = {
#define KERNEL(name, Name) avx2::name##_simd,
#include "kernels/table.def"
#undef KERNEL
};

constexpr Kernel kAvxVnni[] = {
#define KERNEL(name, Name) avx2::name##_simd,
#define KERNEL_OF_INTEGERS(name, Name) avx_vnni::name##_simd,
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL
};

constexpr Kernel kAvx512Floats[] = {
#define KERNEL(name, Name) avx2::name##_simd,
#define KERNEL_OF_FLOATS(name, Name) avx512::name##_simd,
#include "kernels/table.def"
#undef KERNEL_OF_FLOATS
#undef KERNEL
};

constexpr Kernel kAvx512[] = {
#define KERNEL(name, Name) avx2::name##_simd,
#define KERNEL_OF_FLOATS(name, Name) avx512::name##_simd,
#define KERNEL_OF_INTEGERS(name, Name) avx512_vnni::name##_simd,
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL_OF_FLOATS
#undef KERNEL
};
#endif

#ifdef TESSERAE_HAVE_NEON
constexpr Kernel kNeon[] = {
#define KERNEL(name, Name) neon::name##_simd,
#include "kernels/table.def"
#undef KERNEL
};

constexpr Kernel kNeonDot[] = {
#define KERNEL(name, Name) neon::name##_simd,
#define KERNEL_OF_INTEGERS(name, Name) neon_dot::name##_simd,
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL
};

constexpr Kernel kNeonI8mm[] = {
#define KERNEL(name, Name) neon::name##_simd,
#define KERNEL_OF_INTEGERS(name, Name) neon_i8mm::name##_simd,
#include "kernels/table.def"
#undef KERNEL_OF_INTEGERS
#undef KERNEL
};
#endif

}  // namespace

uint32_t kernel_count() { return sizeof(kInfo) / sizeof(kInfo[0]); }

const KernelInfo& kernel_info(uint32_t opcode) { return kInfo[opcode]; }

const KernelSet& kernel_set(Isa isa) {
  static constexpr KernelSet kSets[] = {
#ifndef __wasm__
      {"ref", kRef, 6, 16, kThinFew},
#else
      {"ref", nullptr, 0, 0, 0},
#endif
#ifdef TESSERAE_HAVE_PORTABLE
      {"portable", kPortable, 6, 16, kThinFew},
#else
      {"portable", nullptr, 0, 0, 0},
#endif
#ifdef TESSERAE_HAVE_AVX2
      {"avx2", kAvx2, 6, 16, kThinFew},
      {"avx_vnni", kAvxVnni, 6, 16, kThinFew},
      {"avx512_floats", kAvx512Floats, 8, 48, 20},
      {"avx512", kAvx512, 8, 48, 20},
#else
      {"avx2", nullptr, 0, 0, 0},
      {"avx_vnni", nullptr, 0, 0, 0},
      {"avx512_floats", nullptr, 0, 0, 0},
      {"avx512", nullptr, 0, 0, 0},
#endif
#ifdef TESSERAE_HAVE_NEON
      {"neon", kNeon, 6, 16, kThinFew},
      {"neon_dot", kNeonDot, 6, 16, kThinFew},
      {"neon_i8mm", kNeonI8mm, 6, 16, kThinFew},
#else
      {"neon", nullptr, 0, 0, 0},
      {"neon_dot", nullptr, 0, 0, 0},
      {"neon_i8mm", nullptr, 0, 0, 0},
#endif
  };
  return kSets[static_cast<uint32_t>(isa)];
}

bool isa_supported(Isa isa) {
  if (kernel_set(isa).kernels == nullptr) return false;
  if (isa == Isa::ref || isa == Isa::portable || isa == Isa::neon) return true;
#ifdef TESSERAE_HAVE_AVX2
  // These builtins also check that the operating system saves the registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avx_vnni) return avx2 && __builtin_cpu_supports("avxvnni");
  const bool wide = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (isa == Isa::avx512_floats) return wide;
  return wide && __builtin_cpu_supports("avx512vnni");
#elif defined(TESSERAE_HAVE_NEON)
  const bool dot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  if (isa == Isa::neon_dot) return dot;
  return dot && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
#else
  return false;
#endif
}

}  // namespace tesserae
