// Scalar reference of pack_quantized, the oracle of its tests.
#include "kernels/pack_quantized.h"

#include <algorithm>

namespace tesserae {

KernelStatus pack_quantized_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<PackQuantizedParams>();
  const auto type = static_cast<QuantizedType>(p.type);
  const QuantizedFormat& format = quantized_format(type);
  const int64_t units = p.k / format.block_elements;
  const int64_t row_bytes = units * format.block_bytes;
  const int64_t first = tile * p.tile_strips * kStripRows;
  const int64_t last = std::min(first + p.tile_strips * kStripRows, p.n);
  const int64_t unit_bytes = strip_layout(format).unit_bytes;
  for (int64_t strip_row = first; strip_row < last; strip_row += kStripRows) {
    unsigned char* strip = p.image + strip_row / kStripRows * units * unit_bytes;
    std::memset(strip, 0, static_cast<size_t>(units * unit_bytes));
    for (int64_t row = strip_row; row < std::min(strip_row + kStripRows, last); ++row) {
      for (int64_t u = 0; u < units; ++u) {
        BlockFields fields = {};
        unpack_block(type, p.blocks + row * row_bytes + u * format.block_bytes, fields);
        write_unit_row(format, fields, row % kStripRows, strip + u * unit_bytes);
      }
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
