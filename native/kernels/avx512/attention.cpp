// attention with AVX-512: an instance of attention_whole.h. Sums and weights have the same bits as with AVX2.
#include "kernels/attention.h"

#include "kernels/simd/attention_whole.h"
#include "kernels/avx512/attention_avx512.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus attention_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  return attention::attention_tile_with<attention::MicroAvx512>(op, tile_index, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
