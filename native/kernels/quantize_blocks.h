// quantize_blocks: floats to the blocks of a GGUF file, in the types that `tesserae quantize` writes. The kernels that
// compute with quantized weights repack such blocks and know nothing of this one.
#pragma once

// Each block depends on its own elements alone, and all arithmetic is scalar and in a fixed order: both kernel sets
// give the same bits. A block that cannot be written, since an element is NaN or infinite or a scale is beyond half
// precision, ends the tile with KernelStatus::value_out_of_range.

#include <cstdint>

#include "core/op.h"

namespace tesserae {

// The codes are those of ggml_type, as they stand in a file.
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
  const void* x;        // elements in a row, of type x_type, at any address
  int64_t x_type;       // FileType: f32, f16 or bf16
  unsigned char* y;     // blocks in a row
  int64_t y_type;       // FileType: f16 or a quantized one
  int64_t blocks;       // of all tiles
  int64_t tile_blocks;  // per tile
};

KernelStatus quantize_blocks_ref(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus quantize_blocks_avx2(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
