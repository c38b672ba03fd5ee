// scale: y = x · factor, element by element. Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

struct ScaleParams {
  Pointer<const float> x;
  Pointer<float> y;
  double factor;  // rounded to f32 before use
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides x_outer;
  OuterStrides y_outer;
};

KernelStatus scale_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
