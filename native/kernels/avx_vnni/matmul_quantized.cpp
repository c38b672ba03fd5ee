// matmul_quantized with AVX-VNNI: the AVX2 sources, compiled so that a dot product of bytes is one instruction
// (vpdpbusd).
#include "kernels/matmul_quantized.h"

#include "kernels/avx2/quantized_group.h"
#include "kernels/avx2/quantized_panel_rows.h"
#include "kernels/avx2/quantized_tile.h"

namespace tesserae {

KernelStatus matmul_quantized_avx_vnni(const OpRecord& op, int64_t tile, Scratch& scratch) {
  quantized::run_quantized_tile(op, tile, scratch);
  return KernelStatus::ok;
}

}  // namespace tesserae
