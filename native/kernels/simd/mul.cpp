// mul for the vector sets.
#include "kernels/mul.h"

#include "kernels/simd/binary_rows.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus mul_simd(const OpRecord& op, int64_t tile, Scratch&) {
  binary_tile(op.as<MulParams>(), tile, [](Floats a, Floats b) { return mul(a, b); });
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
