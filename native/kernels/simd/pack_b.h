// Packs a block of B (f32, f16 or bf16) into f32 panels, and widens panels of 16 bits. Called by the kernel pack_b and by
// matmul's blocked paths.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/op.h"
#include "kernels/pack_b.h"
#include "kernels/simd/matmul_vector.h"
#include "kernels/simd/pack_halves.h"

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

// Distance of the prefetches while panels are widened, in elements.
constexpr int64_t kWidenAhead = 512;

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

// Widens `count` elements of 16 bits, a multiple of 16.
template <typename Element>
void widen_panels(const Element* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += 16) {
    prefetch(from + i + kWidenAhead);
    store_f32x16(to + i, load16(from + i));
  }
}

// Computes one tile of the kernel pack_b. Elements of 16 bits are moved, not converted.
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
  const int64_t bytes = dtype_bytes(dtype);
  const PackSource matrix = {p.b, dtype, p.b_rs, p.b_cs};
  PackSource source = pack_source_at(matrix, first_k, first_column);
  source.data = static_cast<const char*>(source.data) + row_offset(p.batch, p.b_batch, batch) * bytes;
  const int64_t at = row_offset(p.batch, p.packed_batch, batch) + packed_panel_offset(p.n, first_k, block_k, first_panel);
  char* to = static_cast<char*>(p.packed) + at * bytes;
  if (dtype == DType::f32) {
    pack_panels(source, block_k, columns, reinterpret_cast<float*>(to));
  } else {
    const auto* b = static_cast<const uint16_t*>(source.data);
    pack_halves(b, source.rs, source.cs, block_k, columns, reinterpret_cast<uint16_t*>(to));
  }
}

}  // namespace TESSERAE_ISA

}  // namespace tesserae::matmul
