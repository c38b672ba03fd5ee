// quantize_blocks compiled for AVX2: the same scalar code as the reference, fast enough for work that is done once.
#include "kernels/quantize_blocks.h"

#include "kernels/block_encode.h"

namespace tesserae {

KernelStatus quantize_blocks_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  return quantize_tile(op.as<QuantizeBlocksParams>(), tile);
}

}  // namespace tesserae
