// Scalar reference of embedding.
#include "kernels/embedding.h"

#include <algorithm>

#include "kernels/half.h"

namespace tesserae {

KernelStatus embedding_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<EmbeddingParams>();
  const bool is_half = p.table_dtype == static_cast<int64_t>(DType::f16);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const int64_t id = p.ids[row_offset(p.outer, p.ids_outer, row)];
    if (id < 0 || id >= p.table_rows) return KernelStatus::index_out_of_range;
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t column = 0; column < p.columns; ++column) {
      const int64_t at = id * p.table_row_stride + column;
      y[column] = is_half ? half_to_float(static_cast<const uint16_t*>(p.table)[at])
                          : static_cast<const float*>(p.table)[at];
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
