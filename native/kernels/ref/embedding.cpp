// Scalar reference of embedding, the oracle of its tests.
#include "kernels/embedding.h"

#include <algorithm>

#include "kernels/half.h"

namespace tesserae {

KernelStatus embedding_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<EmbeddingParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const int64_t id = p.ids[row_offset(p.outer, p.ids_outer, row)];
    if (id < 0 || id >= p.table_rows) return KernelStatus::index_out_of_range;
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t column = 0; column < p.columns; ++column) {
      y[column] = element_as_float(p.table, static_cast<DType>(p.table_dtype), id * p.table_row_stride + column);
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
