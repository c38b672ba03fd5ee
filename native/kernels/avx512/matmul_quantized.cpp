// matmul_quantized with AVX-512 VNNI: an instance of avx2/quantized_tile.h.
#include "kernels/matmul_quantized.h"

#include "kernels/avx512/quantized_group.h"
#include "kernels/avx512/quantized_panel_rows.h"
#include "kernels/avx2/quantized_tile.h"

namespace tesserae {

KernelStatus matmul_quantized_avx512(const OpRecord& op, int64_t tile, Scratch& scratch) {
  quantized::run_quantized_tile(op, tile, scratch);
  return KernelStatus::ok;
}

}  // namespace tesserae
