// quantize_blocks for the vector sets: the same scalar code as the reference, fast enough for work that is done once.
#include "kernels/quantize_blocks.h"

#include "kernels/block_encode.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus quantize_blocks_simd(const OpRecord& op, int64_t tile, Scratch&) {
  return quantize_tile(op.as<QuantizeBlocksParams>(), tile);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
