// embedding: y[row] = table[ids[row]], converted to f32. Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

// An id outside [0, table_rows) ends the tile with KernelStatus::index_out_of_range; the rows before it are written.
struct EmbeddingParams {
  Pointer<const void> table;    // [table_rows, columns], rows of unit stride
  int64_t table_dtype;  // f32, f16 or bf16
  int64_t table_rows;
  int64_t table_row_stride;  // in elements
  Pointer<const int32_t> ids;
  Pointer<float> y;
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides ids_outer;
  OuterStrides y_outer;
};

KernelStatus embedding_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
