// copy: y = x between any two layouts of one shape, with conversion between f32 and f16 or bf16. Called through the
// kernel table.
#pragma once

#include "core/op.h"

namespace tesserae {

constexpr int kCopyDims = 8;

// The element types are equal, or one is f32 and the other f16 or bf16 (rounded to nearest, ties to even). Strides
// count elements and are not negative; a stride of 0 repeats x. Rows are numbered in row-major order over all
// dimensions but the last; tile count = ceil(size[0] · .. · size[6] / tile_rows). tile_rows should be a multiple of 8,
// so that transposing has no edges.
struct CopyParams {
  Pointer<const void> x;
  Pointer<void> y;
  int64_t x_dtype;
  int64_t y_dtype;
  int64_t tile_rows;        // rows per tile
  int64_t size[kCopyDims];  // outermost first, padded in front with 1
  int64_t x_stride[kCopyDims];
  int64_t y_stride[kCopyDims];
};

KernelStatus copy_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
