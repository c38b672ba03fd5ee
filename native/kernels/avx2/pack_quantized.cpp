// pack_quantized with AVX2.
#include "kernels/pack_quantized.h"

namespace tesserae {

KernelStatus pack_quantized_avx2(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return pack_quantized_ref(op, tile, scratch);
}

}  // namespace tesserae
