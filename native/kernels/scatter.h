// scatter: table[ids[row]] = x[row]: writes rows to numbered places, as into a KV cache. Called through the kernel
// table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

// Row r of x goes to the table's row ids[r], counted from the table's own outer offset: for x as [batch, heads,
// tokens, dim] and a cache as [batch, heads, capacity, dim], `table_outer` has the cache's strides over batch and
// heads and 0 over tokens, and `ids_outer` has 0 over heads. No two rows may go to the same place: which of them
// would be kept is not defined. An id outside [0, table_rows) ends the tile with KernelStatus::index_out_of_range;
// the rows before it are written.
struct ScatterParams {
  const float* x;
  const int32_t* ids;
  void* table;          // rows of unit stride
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
KernelStatus scatter_avx2(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
