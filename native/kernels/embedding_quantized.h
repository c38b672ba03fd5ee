// embedding_quantized: y[row] = table[ids[row]] for a table that is a packed quantized matrix. Called through the
// kernel table.
#pragma once

#include "core/op.h"
#include "kernels/formats/strip.h"
#include "kernels/rows.h"

namespace tesserae {

// Each element is fma(scale, level, min). An id outside [0, table_rows) ends the tile with
// KernelStatus::index_out_of_range; the rows before it are written.
struct EmbeddingQuantizedParams {
  Pointer<const unsigned char> table;  // an image written by pack_quantized
  int64_t type;                // a QuantizedType
  int64_t table_rows;
  Pointer<const int32_t> ids;
  Pointer<float> y;
  int64_t columns;    // whole blocks
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides ids_outer;
  OuterStrides y_outer;
};

KernelStatus embedding_quantized_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
