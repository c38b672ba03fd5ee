// sequence_attention with AVX2: an instance of attention_sequences.h.
#include "kernels/sequence_attention.h"

#include "kernels/avx2/attention_sequences.h"
#include "kernels/avx2/attention_avx2.h"

namespace tesserae {

KernelStatus sequence_attention_avx2(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::sequence_tile_with<attention::MicroAvx2>(op, tile_index, scratch);
}

}  // namespace tesserae
