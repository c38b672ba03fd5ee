// argmax: y = the index of the first maximum of each row. Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

// If a row contains NaN, the first NaN counts as its maximum.
struct ArgmaxParams {
  Pointer<const float> x;
  Pointer<int32_t> y;         // one element for each row
  int64_t columns;    // < 2^31
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides x_outer;
  OuterStrides y_outer;
};

KernelStatus argmax_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
