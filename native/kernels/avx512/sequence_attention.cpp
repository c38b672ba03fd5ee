// sequence_attention with AVX-512: an instance of attention_sequences.h.
#include "kernels/sequence_attention.h"

#include "kernels/avx2/attention_sequences.h"
#include "kernels/avx512/attention_avx512.h"

namespace tesserae {

KernelStatus sequence_attention_avx512(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::sequence_tile_with<attention::MicroAvx512>(op, tile_index, scratch);
}

}  // namespace tesserae
