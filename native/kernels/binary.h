// The parameters that add and mul share, with the broadcasting of each operand. Included by add.h and mul.h.
#pragma once

#include "kernels/rows.h"

namespace tesserae {

struct BinaryParams {
  Pointer<const float> a;
  Pointer<const float> b;
  Pointer<float> y;  // may be a or b, if that operand is not broadcast
  int64_t columns;
  int64_t tile_rows;      // rows per tile
  int64_t a_column_step;  // elements from one column to the next: 1, or 0 for one value per row
  int64_t b_column_step;
  OuterShape outer;
  OuterStrides a_outer;
  OuterStrides b_outer;
  OuterStrides y_outer;
};

}  // namespace tesserae
