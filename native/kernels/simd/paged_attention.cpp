// paged_attention for the vector sets: an instance of attention_pages.h.
#include "kernels/paged_attention.h"

#include "kernels/simd/attention_pages.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus paged_attention_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::paged_tile(op, tile_index, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
