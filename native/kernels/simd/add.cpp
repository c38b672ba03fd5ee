// add for the vector sets.
#include "kernels/add.h"

#include "kernels/simd/binary_rows.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus add_simd(const OpRecord& op, int64_t tile, Scratch&) {
  binary_tile(op.as<AddParams>(), tile, [](Floats a, Floats b) { return add(a, b); });
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
