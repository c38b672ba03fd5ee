// matmul_quantized for the vector sets: an instance of quantized_tile.h.
#include "kernels/matmul_quantized.h"

#include "kernels/simd/quantized_group.h"
#include "kernels/simd/quantized_panel_rows.h"
#include "kernels/simd/quantized_around.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus matmul_quantized_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  quantized::run_tile(op, tile, scratch);
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
