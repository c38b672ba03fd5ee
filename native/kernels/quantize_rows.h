// quantize_rows: quantizes rows of f32 to blocks of int8 (quantized_rows.h) for matmul_quantized. Called through the
// kernel table.
#pragma once

#include "core/op.h"
#include "kernels/quantized_rows.h"
#include "kernels/rows.h"

namespace tesserae {

struct QuantizeRowsParams {
  Pointer<const float> x;
  Pointer<ActivationBlock> y;  // [rows][columns / 32]
  int64_t columns;     // a multiple of 32
  int64_t tile_rows;   // rows per tile
  OuterShape outer;
  OuterStrides x_outer;
};

KernelStatus quantize_rows_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
