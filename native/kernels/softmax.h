// softmax: y = exp(x - max) / sum of exp(x - max) for each row. Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

// A row that contains NaN or +infinity, or only -infinity, gives NaN in every element, as IEEE arithmetic does.
struct SoftmaxParams {
  Pointer<const float> x;
  Pointer<float> y;  // may be x
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides x_outer;
  OuterStrides y_outer;
};

KernelStatus softmax_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
