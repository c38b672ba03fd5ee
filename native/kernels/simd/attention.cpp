// attention for the vector sets: an instance of attention_whole.h.
#include "kernels/attention.h"

#include "kernels/simd/attention_whole.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus attention_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::whole_tile(op, tile_index, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
