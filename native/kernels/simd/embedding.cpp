// embedding for the vector sets.
#include "kernels/embedding.h"

#include <algorithm>

#include "kernels/simd/elements.h"

namespace tesserae {
namespace {

template <typename Element>
KernelStatus embedding_tile(const EmbeddingParams& p, int64_t tile) {
  const auto* table = static_cast<const typename Element::Storage*>(p.table);
  const int64_t first = tile * p.tile_rows;
  const int64_t last = std::min(first + p.tile_rows, p.outer.rows());
  for (int64_t row = first; row < last; ++row) {
    const int64_t id = p.ids[row_offset(p.outer, p.ids_outer, row)];
    if (id < 0 || id >= p.table_rows) return KernelStatus::index_out_of_range;
    auto* y = reinterpret_cast<uint32_t*>(p.y + row_offset(p.outer, p.y_outer, row));
    convert_row<Element, Bits32>(table + id * p.table_row_stride, y, p.columns);
  }
  return KernelStatus::ok;
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus embedding_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<EmbeddingParams>();
  if (p.table_dtype == static_cast<int64_t>(DType::f16)) return embedding_tile<Half>(p, tile);
  if (p.table_dtype == static_cast<int64_t>(DType::bf16)) return embedding_tile<Bfloat>(p, tile);
  return embedding_tile<Bits32>(p, tile);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
