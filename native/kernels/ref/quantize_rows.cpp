// Scalar reference of quantize_rows.
#include "kernels/quantize_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tesserae {
namespace {

// The largest magnitude, a NaN counting as larger than all: compared as bits.
float largest_magnitude(const float* x) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < kActivationBlock; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, 4);
    largest = std::max(largest, bits & 0x7fffffff);
  }
  float magnitude;
  std::memcpy(&magnitude, &largest, 4);
  return magnitude;
}

void quantize_block(const float* x, ActivationBlock& y) {
  const float magnitude = largest_magnitude(x);
  const float inverse = 127.0f / magnitude;
  const bool has_values = std::isfinite(magnitude) && std::isfinite(inverse);
  y.scale = has_values || !std::isfinite(magnitude) ? magnitude / 127.0f : 0.0f;
  y.half_sums[0] = y.half_sums[1] = 0;
  for (int64_t i = 0; i < kActivationBlock; ++i) {
    y.values[i] = has_values ? static_cast<int8_t>(std::lrint(x[i] * inverse)) : int8_t{0};
    y.half_sums[i / 16] += y.values[i];
  }
  y.sum = y.half_sums[0] + y.half_sums[1];
}

}  // namespace

KernelStatus quantize_rows_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<QuantizeRowsParams>();
  const int64_t blocks = p.columns / kActivationBlock;
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const float* x = p.x + row_offset(p.outer, p.x_outer, row);
    for (int64_t b = 0; b < blocks; ++b) quantize_block(x + b * kActivationBlock, p.y[row * blocks + b]);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
