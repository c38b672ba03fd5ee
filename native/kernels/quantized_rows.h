// Activations in 8 bits: rows of f32 cut into blocks of 32, each with a scale of its own. Written by quantize_rows, read
// by the quantized matmul. Lives only inside a program.
#pragma once

#include <cstdint>

namespace tesserae {

constexpr int64_t kActivationBlock = 32;

// x ≈ scale · value. scale = m / 127 with m the largest magnitude of the block; value = x · (127 / m), rounded to the
// nearest integer, ties to even: so values are in [-127, 127]. A block whose 127 / m is no finite number is all zeros,
// with scale 0 where m is that small, and with scale m / 127 where m is infinite or NaN, which makes the products NaN.
struct ActivationBlock {
  int8_t values[kActivationBlock];
  float scale;
  int32_t half_sums[2];  // of values 0 to 15 and 16 to 31
  int32_t sum;
};
static_assert(sizeof(ActivationBlock) == 48, "src/ops/quantized-rows.ts relies on this size");

}  // namespace tesserae
