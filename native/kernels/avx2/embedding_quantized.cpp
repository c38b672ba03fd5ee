// embedding_quantized for the vector sets: calls the reference.
#include "kernels/embedding_quantized.h"

namespace tesserae {

KernelStatus embedding_quantized_avx2(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return embedding_quantized_ref(op, tile, scratch);
}

}  // namespace tesserae
