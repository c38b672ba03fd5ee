// checkpoint for the vector sets: calls the reference, since there is nothing to vectorise.
#include "kernels/checkpoint.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

KernelStatus checkpoint_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return checkpoint_ref(op, tile, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
