// attention with AVX2: an instance of attention_whole.h.
#include "kernels/attention.h"

#include "kernels/avx2/attention_avx2.h"
#include "kernels/avx2/attention_whole.h"

namespace tesserae {

KernelStatus attention_avx2(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::attention_tile_with<attention::MicroAvx2>(op, tile_index, scratch);
}

}  // namespace tesserae
