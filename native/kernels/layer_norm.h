// layer_norm: y = (x - mean) / sqrt(variance + eps) · weight + bias for each row; the variance is the population
// variance (divided by the number of columns). Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

struct LayerNormParams {
  Pointer<const float> x;
  Pointer<float> y;             // may be x
  Pointer<const float> weight;  // [columns], contiguous; null for none
  Pointer<const float> bias;    // [columns], contiguous; null for none
  double eps;
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides x_outer;
  OuterStrides y_outer;
};

KernelStatus layer_norm_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
