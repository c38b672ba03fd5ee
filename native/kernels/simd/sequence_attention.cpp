// sequence_attention for the vector sets: an instance of attention_sequences.h.
#include "kernels/sequence_attention.h"

#include "kernels/simd/attention_sequences.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus sequence_attention_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::sequence_tile(op, tile_index, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
