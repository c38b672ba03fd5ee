// quantize_blocks: converts floats to the blocks of a GGUF file, for the types that `tesserae quantize` writes. Not for
// computing: pack_quantized repacks such blocks for the products. Called through the kernel table.
#pragma once

// A block depends on its own elements only, and all arithmetic is scalar and in a fixed order: all kernel sets give the
// same bits. A block that cannot be encoded, because an element is NaN or infinite or a scale overflows f16, ends the
// tile with KernelStatus::value_out_of_range.

#include <cstdint>

#include "core/op.h"

namespace tesserae {

// The numbers are those of ggml_type, as stored in GGUF files.
enum class FileType : int64_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30,
};

struct QuantizeBlocksParams {
  Pointer<const void> x;        // contiguous elements of type x_type; no alignment
  int64_t x_type;       // FileType: f32, f16 or bf16
  Pointer<unsigned char> y;     // contiguous blocks
  int64_t y_type;       // FileType: f16 or a quantized type
  int64_t blocks;       // of all tiles
  int64_t tile_blocks;  // per tile
};

KernelStatus quantize_blocks_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
