// silu_mul: y = silu(gate) · up, element by element: the gated unit of llama's feed-forward layer. Called through the
// kernel table.
#pragma once

#include "core/op.h"
#include "kernels/quantized_rows.h"
#include "kernels/rows.h"

namespace tesserae {

struct SiluMulParams {
  Pointer<const float> gate;
  Pointer<const float> up;
  Pointer<float> y;  // may be gate or up
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides gate_outer;
  OuterStrides up_outer;
  OuterStrides y_outer;
  // If not null, receives y quantized to int8 as well (quantized_rows.h), row after row; columns are then a multiple
  // of 32.
  Pointer<ActivationBlock> blocks;
};

KernelStatus silu_mul_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
