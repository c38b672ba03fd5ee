// Activations quantized to int8: each row of f32 is cut into blocks of 32, each with its own scale. Written by
// quantize_rows, and by rms_norm, silu_mul, matmul_quantized and paged_attention beside their result; read by
// matmul_quantized. Exists only within a program.
#pragma once

#include <cstdint>

namespace tesserae {

constexpr int64_t kActivationBlock = 32;

// x ≈ scale · value. With m the largest magnitude of the block, scale = m / 127 and value = x · (127 / m), rounded to
// the nearest integer, ties to even; so values are in [-127, 127]. Exceptions, in which all values are 0:
//   m is so small that 127 / m is infinite (or m is 0): scale = 0.
//   m is infinite or NaN: scale = m / 127, which makes the products NaN.
struct ActivationBlock {
  int8_t values[kActivationBlock];
  float scale;
  int32_t half_sums[2];  // of values 0 to 15 and 16 to 31
  int32_t sum;
};
static_assert(sizeof(ActivationBlock) == 48, "src/ops/quantized/quantized-rows.ts relies on this size");

}  // namespace tesserae
