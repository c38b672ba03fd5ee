// Packs a block of B (f32, f16 or bf16) into f32 panels. Called by the kernel pack_b and by matmul's local_pack path.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/op.h"
#include "kernels/pack_b.h"
#include "kernels/simd/matmul_vector.h"

namespace tesserae::matmul {

// A block of B: element (p, j) at data + p · rs + j · cs.
struct PackSource {
  const void* data;  // the block's first element
  DType dtype;
  int64_t rs;
  int64_t cs;
};

// The source that starts at element (row, column) of `source`.
static inline PackSource pack_source_at(const PackSource& source, int64_t row, int64_t column) {
  PackSource moved = source;
  moved.data = static_cast<const char*>(source.data) + (row * source.rs + column * source.cs) * dtype_bytes(source.dtype);
  return moved;
}

// Writes ceil(columns / kNr) panels of k × kNr floats to `to`, with zeros in the missing columns.
using PackPanels = void (*)(const PackSource& source, int64_t k, int64_t columns, float* to);

inline namespace TESSERAE_ISA {

void pack_b_panels(const PackSource& source, int64_t k, int64_t columns, float* to);

// Packs B with any strides, element by element.
template <typename Element>
void pack_strided(const Element* b, int64_t rs, int64_t cs, int64_t k, int64_t columns, float* to) {
  for (int64_t j = 0; j < columns; j += kNr) {
    for (int64_t p = 0; p < k; ++p, to += kNr) {
      const Element* from = b + p * rs + j * cs;
      store_f32x8(to, load_strided(from, cs, columns - j));
      store_f32x8(to + 8, load_strided(from + 8 * cs, cs, columns - j - 8));
    }
  }
}

// Computes one tile of the kernel pack_b.
inline void pack_b_tile(const PackBParams& p, int64_t tile, PackPanels pack_panels) {
  const int64_t blocks = k_block_count(p.k, p.kc);
  const int64_t groups = (panel_count(p.n) + p.tile_panels - 1) / p.tile_panels;
  const int64_t batch = tile / (groups * blocks);
  const int64_t first_k = tile / groups % blocks * k_block_size(p.k, p.kc);
  const int64_t block_k = std::min(k_block_size(p.k, p.kc), p.k - first_k);
  const int64_t first_panel = tile % groups * p.tile_panels;
  const int64_t first_column = first_panel * kNr;
  const int64_t columns = std::min(p.tile_panels * kNr, p.n - first_column);

  const auto dtype = static_cast<DType>(p.b_dtype);
  const PackSource matrix = {p.b, dtype, p.b_rs, p.b_cs};
  PackSource source = pack_source_at(matrix, first_k, first_column);
  source.data = static_cast<const char*>(source.data) + row_offset(p.batch, p.b_batch, batch) * dtype_bytes(dtype);
  float* image = p.packed + row_offset(p.batch, p.packed_batch, batch);
  pack_panels(source, block_k, columns, image + packed_panel_offset(p.n, first_k, block_k, first_panel));
}

}  // namespace TESSERAE_ISA

}  // namespace tesserae::matmul
