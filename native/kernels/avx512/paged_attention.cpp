// paged_attention with AVX-512. Sums and weights have the same bits as with AVX2.
#include "kernels/paged_attention.h"

#include "kernels/simd/attention_pages.h"
#include "kernels/avx512/attention_avx512.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus paged_attention_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::paged_tile_with<attention::MicroAvx512>(op, tile_index, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
