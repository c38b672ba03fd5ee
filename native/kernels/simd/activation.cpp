// activation for the vector sets.
#include "kernels/activation.h"

#include <algorithm>

#include "kernels/simd/lanes.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus activation_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ActivationParams>();
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  with_activation(static_cast<Activation>(p.kind), [&](auto tag) {
    for (int64_t row = first; row < last; ++row) {
      const float* x = p.x + row_offset(p.outer, p.x_outer, row);
      float* y = p.y + row_offset(p.outer, p.y_outer, row);
      for_columns(p.columns, [&](int64_t column, auto lanes) {
        lanes.store(y + column, activate<decltype(tag)::value>(lanes.load(x + column)));
      });
    }
  });
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
