// sequence_attention with AVX-512: an instance of attention_sequences.h.
#include "kernels/sequence_attention.h"

#include "kernels/simd/attention_sequences.h"
#include "kernels/avx512/attention_avx512.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus sequence_attention_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::sequence_tile_with<attention::MicroAvx512>(op, tile_index, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
