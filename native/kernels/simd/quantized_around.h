// What a tile of matmul_quantized does around its products: it norms and quantizes its rows first, and joins two products
// to a gated unit. So decoding needs no steps of their own for these. Included by matmul_quantized.cpp of each set.
#pragma once

#include "kernels/simd/quantize_block.h"
#include "kernels/simd/quantized_tile.h"
#include "kernels/simd/rms_norm_row.h"
#include "kernels/simd/silu_mul_row.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// The parameters for a tile whose rows are normed into the end of scratch, as rms_norm and quantize_rows do it.
inline MatmulQuantizedParams with_normed_rows(const MatmulQuantizedParams& p, const QuantizedTile& part, Scratch& scratch) {
  const int64_t row_blocks = p.k / kActivationBlock;
  unsigned char* end = scratch.data + kScratchBytes - kNormedBytes;
  auto* normed = reinterpret_cast<float*>(end);
  auto* blocks = reinterpret_cast<ActivationBlock*>(end + kMostNormed * int64_t{sizeof(float)});
  for (int64_t row = part.first_row; row < part.last_row; ++row) {
    rms_norm_row(p.unnormed.x + row * p.unnormed.x_rs, normed, p.unnormed.weight, p.unnormed.eps, p.k);
    quantize_row(normed, p.k, blocks + (row - part.first_row) * row_blocks);
  }
  MatmulQuantizedParams own = p;
  own.x = blocks - part.first_row * row_blocks;
  return own;
}

// Computes the unit of both targets in the first one, and quantizes it.
inline void join_gated(const MatmulQuantizedParams& p, const QuantizedTile& part) {
  const QuantizedTarget &gate = p.target[0], &up = p.target[1];
  const int64_t columns = part.last_column - part.first_column;
  for (int64_t row = part.first_row; row < part.last_row; ++row) {
    float* y = gate.c + row * gate.c_rs + part.first_column;
    const float* other = up.c + row * up.c_rs + part.first_column;
    gated_row(static_cast<Activation>(gate.activation), other, y, columns);
    if (p.blocks) quantize_row(y, columns, p.blocks + (row * gate.n + part.first_column) / kActivationBlock);
  }
}

inline void run_tile(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& recorded = op.as<MatmulQuantizedParams>();
  const QuantizedTile part = quantized_tile(recorded, tile_index);
  const auto run = [&](const MatmulQuantizedParams& p) {
    run_quantized_tile(p, part, scratch);
    if (!p.gated) return;
    run_quantized_tile(p, gated_tile(p, part), scratch);
    join_gated(p, part);
  };
  if (recorded.unnormed.x) run(with_normed_rows(recorded, part, scratch));
  else run(recorded);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
