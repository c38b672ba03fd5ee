// scatter: table[ids[row]] = x[row]: writes rows to the numbered rows of a table, such as a KV cache. Called through
// the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

// Row r of x is written to the table's row ids[r], counted from the offset that table_outer gives for row r. Example:
// x is [batch, heads, tokens, dim] and a cache is [batch, heads, capacity, dim]. Then `table_outer` has the cache's
// strides for batch and heads and 0 for tokens, and `ids_outer` has 0 for heads. If two rows are written to the same
// place, it is undefined which one remains. An id outside [0, table_rows) ends the tile with
// KernelStatus::index_out_of_range; the rows before it are written.
struct ScatterParams {
  Pointer<const float> x;
  Pointer<const int32_t> ids;
  Pointer<void> table;          // rows of unit stride
  int64_t table_dtype;  // f32, or f16: rounded to nearest, ties to even
  int64_t table_rows;
  int64_t table_row_stride;  // in elements
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;   // of x
  OuterStrides x_outer;
  OuterStrides ids_outer;
  OuterStrides table_outer;
};

KernelStatus scatter_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
