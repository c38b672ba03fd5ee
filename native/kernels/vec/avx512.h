// The vector layer with AVX-512: that of AVX2, whose eight lanes keep their instructions. Kernels with sixteen lanes are
// in kernels/avx512.
#pragma once

#include "kernels/vec/avx2.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

TESSERAE_INLINE void keep_in_register(__m512d& sum) { asm volatile("" : "+v"(sum)); }

}  // namespace TESSERAE_ISA
}  // namespace tesserae
