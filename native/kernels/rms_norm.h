// rms_norm: y = x / sqrt(mean(x²) + eps) · weight for each row. Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/quantized_rows.h"
#include "kernels/rows.h"

namespace tesserae {

// The norms of queries and keys, each head by itself, that attention computes before it rotates them.
struct HeadNorms {
  Pointer<const float> q_weight;  // [dim]; null for no norms
  Pointer<const float> k_weight;  // [dim]; null if q_weight is
  double eps;
};

struct RmsNormParams {
  Pointer<const float> x;
  Pointer<float> y;             // may be x
  Pointer<const float> weight;  // [columns], contiguous; null for none
  double eps;
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides x_outer;
  OuterStrides y_outer;
  // If not null, receives y quantized to int8 as well (quantized_rows.h), row after row; columns are then a multiple
  // of 32.
  Pointer<ActivationBlock> blocks;
};

KernelStatus rms_norm_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
