// scatter for the vector sets.
#include "kernels/scatter.h"

#include <algorithm>

#include "kernels/simd/elements.h"

namespace tesserae {
namespace {

template <typename Element>
KernelStatus scatter_tile(const ScatterParams& p, int64_t tile) {
  auto* table = static_cast<typename Element::Storage*>(p.table);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const int64_t id = p.ids[row_offset(p.outer, p.ids_outer, row)];
    if (id < 0 || id >= p.table_rows) return KernelStatus::index_out_of_range;
    const auto* x = reinterpret_cast<const uint32_t*>(p.x + row_offset(p.outer, p.x_outer, row));
    auto* place = table + row_offset(p.outer, p.table_outer, row) + id * p.table_row_stride;
    convert_row<Bits32, Element>(x, place, p.columns);
  }
  return KernelStatus::ok;
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus scatter_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<ScatterParams>();
  if (p.table_dtype == static_cast<int64_t>(DType::f16)) return scatter_tile<Half>(p, tile);
  return scatter_tile<Bits32>(p, tile);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
