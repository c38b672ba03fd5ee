// Scalar reference of rotating one head by its token's position. Included by rope.cpp and paged_attention.cpp.
#pragma once

#include <cmath>

#include "kernels/rope.h"

namespace tesserae {

// y may be x.
static inline void rotate_ref(const Rotation& r, double position, const float* x, float* y, int64_t dim) {
  const int64_t pairs = r.rotary_dim / 2;
  const bool interleaved = r.style == static_cast<int64_t>(RopeStyle::interleaved);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const double angle = position * static_cast<double>(r.inverse_frequencies[pair]);
    const float cosine = static_cast<float>(std::cos(angle) * r.magnitude);
    const float sine = static_cast<float>(std::sin(angle) * r.magnitude);
    const int64_t i = interleaved ? 2 * pair : pair;
    const int64_t j = interleaved ? 2 * pair + 1 : pair + pairs;
    const float a = x[i];
    const float b = x[j];
    y[i] = a * cosine - b * sine;
    y[j] = b * cosine + a * sine;
  }
  for (int64_t column = r.rotary_dim; column < dim; ++column) y[column] = x[column];
}

}  // namespace tesserae
