// Scalar reference of scatter, the oracle of its tests.
#include "kernels/scatter.h"

#include <algorithm>

#include "kernels/half.h"

namespace tesserae {

KernelStatus scatter_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ScatterParams>();
  const bool is_half = p.table_dtype == static_cast<int64_t>(DType::f16);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const int64_t id = p.ids[row_offset(p.outer, p.ids_outer, row)];
    if (id < 0 || id >= p.table_rows) return KernelStatus::index_out_of_range;
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    const int64_t start = row_offset(p.outer, p.table_outer, row) + id * p.table_row_stride;
    for (int64_t column = 0; column < p.columns; ++column) {
      if (is_half) {
        static_cast<uint16_t*>(p.table)[start + column] = float_to_half(x[column]);
      } else {
        static_cast<float*>(p.table)[start + column] = x[column];
      }
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
