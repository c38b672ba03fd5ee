// paged_attention_parts for the vector sets: an instance of attention_pages_parts.h.
#include "kernels/paged_attention_parts.h"

#include "kernels/simd/attention_pages_parts.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus paged_attention_parts_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::parts_tile(op, tile_index, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
