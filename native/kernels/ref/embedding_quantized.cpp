// Scalar reference of embedding_quantized, the oracle of its tests.
#include "kernels/embedding_quantized.h"

#include <algorithm>
#include <cmath>

namespace tesserae {

KernelStatus embedding_quantized_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<EmbeddingQuantizedParams>();
  const auto type = static_cast<QuantizedType>(p.type);
  const QuantizedFormat& format = quantized_format(type);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const int64_t id = p.ids[row_offset(p.outer, p.ids_outer, row)];
    if (id < 0 || id >= p.table_rows) return KernelStatus::index_out_of_range;
    float* y = p.y + row_offset(p.outer, p.y_outer, row);
    for (int64_t column = 0; column < p.columns; column += format.block_elements) {
      BlockFields fields = {};
      read_packed_block(type, p.table, p.columns, id, column / format.block_elements, fields);
      for (int64_t e = 0; e < format.block_elements; ++e) {
        const int64_t g = e / format.group;
        const auto value = static_cast<float>(level_of(format, fields, e));
        y[column + e] = std::fma(fields.scale(g), value, fields.min(format, g));
      }
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
