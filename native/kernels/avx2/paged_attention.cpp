// paged_attention with AVX2: an instance of attention_pages.h.
#include "kernels/paged_attention.h"

#include "kernels/avx2/attention_avx2.h"
#include "kernels/avx2/attention_pages.h"

namespace tesserae {

KernelStatus paged_attention_avx2(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::paged_tile_with<attention::MicroAvx2>(op, tile_index, scratch);
}

}  // namespace tesserae
