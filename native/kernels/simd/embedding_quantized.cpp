// embedding_quantized for the vector sets: calls the reference.
#include "kernels/embedding_quantized.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus embedding_quantized_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return embedding_quantized_ref(op, tile, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
