// Packs a block of B (f32, f16 or bf16) into f32 panels. Called by the kernel pack_b and by matmul's local_pack path.
#pragma once

#include <cstdint>

#include "core/op.h"
#include "kernels/pack_b.h"

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
void pack_b_panels_avx2(const PackSource& source, int64_t k, int64_t columns, float* to);
void pack_b_panels_avx512(const PackSource& source, int64_t k, int64_t columns, float* to);

// Computes one tile of the kernel pack_b.
void pack_b_tile(const PackBParams& p, int64_t tile, PackPanels pack_panels);

}  // namespace tesserae::matmul
