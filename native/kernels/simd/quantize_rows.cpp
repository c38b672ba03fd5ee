// quantize_rows for the vector sets.
#include "kernels/quantize_rows.h"

#include <algorithm>

#include "kernels/simd/quantize_block.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus quantize_rows_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<QuantizeRowsParams>();
  const int64_t blocks = p.columns / kActivationBlock;
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    quantize_row(p.x + row_offset(p.outer, p.x_outer, row), p.columns, p.y + row * blocks);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
