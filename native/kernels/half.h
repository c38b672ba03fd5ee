// Conversions of the 16-bit floating-point types in plain C++: IEEE 754 half precision, and bfloat16 (the upper half of
// a float). For the reference kernels and for the scalar edges of others; vector code uses F16C and shifts.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/op.h"

namespace tesserae {

// The exact value of a half. A signalling NaN becomes quiet, as with F16C.
static inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t fraction = half & 0x3ff;
  uint32_t bits;
  if (exponent == 0) {  // zero or subnormal: fraction · 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    std::memcpy(&bits, &magnitude, 4);
    bits |= sign;
  } else if (exponent == 31) {  // infinity or NaN
    bits = sign | 0x7f800000 | (fraction << 13) | (fraction ? 0x400000 : 0);
  } else {
    bits = sign | ((exponent + 112) << 23) | (fraction << 13);
  }
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// The nearest half, ties to even; infinity from 65520 on (65504 and half a step). A NaN becomes a quiet NaN with the
// upper bits of its payload, as with F16C.
static inline uint16_t float_to_half(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {  // below 2^-14: a subnormal half, i.e. a multiple of 2^-24; the addition rounds to one
    float scaled;
    std::memcpy(&scaled, &magnitude, 4);
    scaled += 0.5f;  // floats between 0.5 and 1 are multiples of 2^-24
    uint32_t sum;
    std::memcpy(&sum, &scaled, 4);
    return static_cast<uint16_t>(sign | (sum - 0x3f000000));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

// The exact value of a bfloat16.
static inline float bfloat_to_float(uint16_t bfloat) {
  const uint32_t bits = static_cast<uint32_t>(bfloat) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// The nearest bfloat16, ties to even. A NaN becomes a quiet NaN with the upper bits of its payload.
static inline uint16_t float_to_bfloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Element `index` of an f32, f16 or bf16 array.
static inline float element_as_float(const void* data, DType dtype, int64_t index) {
  if (dtype == DType::f32) return static_cast<const float*>(data)[index];
  const uint16_t bits = static_cast<const uint16_t*>(data)[index];
  return dtype == DType::f16 ? half_to_float(bits) : bfloat_to_float(bits);
}

}  // namespace tesserae
