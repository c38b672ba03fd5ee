// paged_attention with AVX-512. Sums and weights have the same bits as with AVX2.
#include "kernels/paged_attention.h"

#include "kernels/avx2/attention_pages.h"
#include "kernels/avx512/attention_avx512.h"

namespace tesserae {

KernelStatus paged_attention_avx512(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::paged_tile_with<attention::MicroAvx512>(op, tile_index, scratch);
}

}  // namespace tesserae
