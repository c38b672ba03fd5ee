// Quantizes blocks of 32 activations by the rule of quantized_rows.h. Included by the vector kernels that write
// quantized rows.
#pragma once

#include <cmath>
#include <cstring>

#include "kernels/quantized_rows.h"
#include "kernels/vec/vec.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

// The largest magnitude of a block. Magnitudes are compared as integers, so that NaN is the largest.
[[gnu::always_inline]] inline float largest_magnitude(const F32x8 (&x)[4]) {
  const Bits256 magnitude = i32x8(0x7fffffff);
  const auto bits = [&](int v) __attribute__((always_inline)) {
    return bit_and(bits_of(x[v]), magnitude);
  };
  return f32_of_largest_i32(max_i32(max_i32(bits(0), bits(1)), max_i32(bits(2), bits(3))));
}

[[gnu::always_inline]] inline void quantize_block(const F32x8 (&x)[4], ActivationBlock& y) {
  const float largest = largest_magnitude(x);
  const float inverse = 127.0f / largest;
  const bool is_finite = std::isfinite(largest);
  if (!is_finite || !std::isfinite(inverse)) {
    std::memset(&y, 0, sizeof(y));
    if (!is_finite) y.scale = largest / 127.0f;
    return;
  }
  const F32x8 factor = f32x8(inverse);
  Bits256 q[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) q[v] = f32_to_i32(mul(x[v], factor));
  y.scale = largest / 127.0f;
  y.half_sums[0] = sum_lanes_i32(add_i32(q[0], q[1]));
  y.half_sums[1] = sum_lanes_i32(add_i32(q[2], q[3]));
  y.sum = y.half_sums[0] + y.half_sums[1];
  // Packing interleaves the 128-bit halves; the permutation of 32-bit lanes restores the order.
  const Bits256 packed = pack_i16_to_i8(pack_i32_to_i16(q[0], q[1]), pack_i32_to_i16(q[2], q[3]));
  const Bits256 order = i32x8(0, 4, 1, 5, 2, 6, 3, 7);
  store_bits256(y.values, permute_i32(packed, order));
}

// Quantizes a row of whole blocks.
[[gnu::always_inline]] inline void quantize_row(const float* x, int64_t columns, ActivationBlock* y) {
  for (int64_t column = 0; column < columns; column += kActivationBlock, ++y) {
    F32x8 values[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) values[v] = load_f32x8(x + column + v * 8);
    quantize_block(values, *y);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
