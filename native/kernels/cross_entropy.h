// cross_entropy: y = log(sum of exp(x)) - x[target] for each row: the negative log-likelihood of the target under
// softmax(x). Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

// A target outside [0, columns) ends the tile with KernelStatus::index_out_of_range; the rows before it are written.
struct CrossEntropyParams {
  Pointer<const float> x;
  Pointer<const int32_t> targets;  // one element for each row
  Pointer<float> y;                // one element for each row
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides x_outer;
  OuterStrides targets_outer;
  OuterStrides y_outer;
};

KernelStatus cross_entropy_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
