// paged_attention for the vector sets: an instance of attention_pages.h.
#include "kernels/paged_attention.h"

#include "kernels/simd/attention_6x16.h"
#include "kernels/simd/attention_pages.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus paged_attention_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::paged_tile_with<attention::Micro6x16>(op, tile_index, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
