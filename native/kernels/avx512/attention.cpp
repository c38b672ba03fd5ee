// attention with AVX-512: an instance of attention_whole.h. Sums and weights have the same bits as with AVX2.
#include "kernels/attention.h"

#include "kernels/avx2/attention_whole.h"
#include "kernels/avx512/attention_avx512.h"

namespace tesserae {

KernelStatus attention_avx512(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::attention_tile_with<attention::MicroAvx512>(op, tile_index, scratch);
}

}  // namespace tesserae
