// pack_quantized: rearranges the blocks of a quantized matrix [n, k] into the layout that the kernels read (strip.h).
// Called through the kernel table, once for each matrix of a model.
#pragma once

#include "core/op.h"
#include "kernels/formats/strip.h"

namespace tesserae {

// The image has strip_count(n) strips.
// Tile index -> `tile_strips` strips of 8 rows. tile_count = ceil(strip_count(n) / tile_strips).
struct PackQuantizedParams {
  Pointer<const unsigned char> blocks;  // the bytes of the file, row after row; no alignment
  Pointer<unsigned char> image;
  int64_t type;  // a QuantizedType
  int64_t n;
  int64_t k;  // whole blocks
  int64_t tile_strips;
};

KernelStatus pack_quantized_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
