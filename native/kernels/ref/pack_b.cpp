// Scalar reference of pack_b, the oracle of its tests.
#include "kernels/pack_b.h"

#include <algorithm>

#include "kernels/half.h"

namespace tesserae {

KernelStatus pack_b_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<PackBParams>();
  const int64_t blocks = k_block_count(p.k, p.kc);
  const int64_t groups = (panel_count(p.n) + p.tile_panels - 1) / p.tile_panels;
  const int64_t batch = tile / (groups * blocks);
  const int64_t first_k = tile / groups % blocks * k_block_size(p.k, p.kc);
  const int64_t block_k = std::min(k_block_size(p.k, p.kc), p.k - first_k);
  const int64_t first_panel = tile % groups * p.tile_panels;
  const int64_t last_panel = std::min(first_panel + p.tile_panels, panel_count(p.n));
  const int64_t b_offset = row_offset(p.batch, p.b_batch, batch);
  float* image = p.packed + row_offset(p.batch, p.packed_batch, batch);

  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    float* to = image + packed_panel_offset(p.n, first_k, block_k, panel);
    for (int64_t row = first_k; row < first_k + block_k; ++row) {
      for (int64_t column = panel * kNr; column < (panel + 1) * kNr; ++column) {
        const int64_t index = b_offset + row * p.b_rs + column * p.b_cs;
        *to++ = column < p.n ? element_as_float(p.b, static_cast<DType>(p.b_dtype), index) : 0.0f;
      }
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
