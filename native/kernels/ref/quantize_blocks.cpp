// Scalar reference of quantize_blocks, the oracle of its tests.
#include "kernels/quantize_blocks.h"

#include "kernels/block_encode.h"

namespace tesserae {

KernelStatus quantize_blocks_ref(const OpRecord& op, int64_t tile, Scratch&) {
  return quantize_tile(op.as<QuantizeBlocksParams>(), tile);
}

}  // namespace tesserae
