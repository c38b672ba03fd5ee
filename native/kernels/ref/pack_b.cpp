// Scalar reference of pack_b, the oracle of its tests.
#include "kernels/pack_b.h"

#include <algorithm>

#include "core/op.h"

namespace tesserae {
namespace {

// Copies the bits of element `from` of B to element `to` of the images; zero if `from` is -1.
template <typename Bits>
void place(const PackBParams& p, int64_t to, int64_t from) {
  const void* b = p.b;
  void* packed = p.packed;
  static_cast<Bits*>(packed)[to] = from < 0 ? Bits{0} : static_cast<const Bits*>(b)[from];
}

}  // namespace

KernelStatus pack_b_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<PackBParams>();
  const int64_t blocks = k_block_count(p.k, p.kc);
  const int64_t groups = (panel_count(p.n) + p.tile_panels - 1) / p.tile_panels;
  const int64_t batch = tile / (groups * blocks);
  const int64_t first_k = tile / groups % blocks * k_block_size(p.k, p.kc);
  const int64_t block_k = std::min(k_block_size(p.k, p.kc), p.k - first_k);
  const int64_t first_panel = tile % groups * p.tile_panels;
  const int64_t last_panel = std::min(first_panel + p.tile_panels, panel_count(p.n));
  const int64_t bytes = dtype_bytes(static_cast<DType>(p.b_dtype));
  const int64_t b_offset = row_offset(p.batch, p.b_batch, batch);
  const int64_t image = row_offset(p.batch, p.packed_batch, batch);

  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    int64_t to = image + packed_panel_offset(p.n, first_k, block_k, panel);
    for (int64_t row = first_k; row < first_k + block_k; ++row) {
      for (int64_t column = panel * kNr; column < (panel + 1) * kNr; ++column) {
        const int64_t index = b_offset + row * p.b_rs + column * p.b_cs;
        if (bytes == 4) place<uint32_t>(p, to++, column < p.n ? index : -1);
        else place<uint16_t>(p, to++, column < p.n ? index : -1);
      }
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
