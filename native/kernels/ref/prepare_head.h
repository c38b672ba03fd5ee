// Scalar reference of what attention does to a head before it is used: its norm, then its rotation. Included by
// paged_attention.cpp and paged_attention_parts.cpp.
#pragma once

#include "kernels/ref/rms_norm_row.h"
#include "kernels/ref/rotate.h"

namespace tesserae {

// `weight` is that of the norm, or null for none; y may be x. At least one of both is done.
template <typename Params>
static inline void prepare_head_ref(const Params& p, int64_t position, const float* weight, const float* x, float* y) {
  const int64_t dim = p.attention.dim;
  if (weight != nullptr) {
    rms_norm_row_ref(x, y, weight, p.norms.eps, dim);
    x = y;
  }
  if (p.rotation.inverse_frequencies != nullptr) rotate_ref(p.rotation, static_cast<double>(position), x, y, dim);
}

}  // namespace tesserae
