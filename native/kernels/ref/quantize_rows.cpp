// Scalar reference of quantize_rows, the oracle of its tests.
#include "kernels/quantize_rows.h"

#include <algorithm>

#include "kernels/ref/quantize_block.h"

namespace tesserae {

KernelStatus quantize_rows_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<QuantizeRowsParams>();
  const int64_t blocks = p.columns / kActivationBlock;
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    quantize_row_ref(p.x + row_offset(p.outer, p.x_outer, row), p.columns, p.y + row * blocks);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
