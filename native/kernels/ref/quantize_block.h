// Quantizes blocks of 32 activations by the rule of quantized_rows.h. Included by the reference kernels that write such
// rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/quantized_rows.h"

namespace tesserae {

// The largest magnitude of a block. Magnitudes are compared as integers, so that NaN is the largest.
static inline float largest_magnitude_ref(const float* x) {
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

static inline void quantize_block_ref(const float* x, ActivationBlock& y) {
  const float magnitude = largest_magnitude_ref(x);
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

// Quantizes a row of whole blocks.
static inline void quantize_row_ref(const float* x, int64_t columns, ActivationBlock* y) {
  for (int64_t column = 0; column < columns; column += kActivationBlock, ++y) quantize_block_ref(x + column, *y);
}

}  // namespace tesserae
