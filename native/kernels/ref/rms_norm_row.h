// Scalar reference of the RMS norm of one row. Included by rms_norm.cpp and matmul_quantized.cpp.
#pragma once

#include <cmath>
#include <cstdint>

namespace tesserae {

// `weight` may be null; y may be x.
static inline void rms_norm_row_ref(const float* x, float* y, const float* weight, double eps, int64_t columns) {
  double squares = 0;
  for (int64_t column = 0; column < columns; ++column) {
    squares += static_cast<double>(x[column]) * static_cast<double>(x[column]);
  }
  const float factor = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(columns) + eps));
  for (int64_t column = 0; column < columns; ++column) {
    const float normal = x[column] * factor;
    y[column] = weight ? normal * weight[column] : normal;
  }
}

}  // namespace tesserae
