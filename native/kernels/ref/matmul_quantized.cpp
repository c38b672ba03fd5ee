// Scalar reference of matmul_quantized, the oracle of its tests: the summation rule of matmul_quantized.h, written down
// directly.
#include "kernels/matmul_quantized.h"

#include <cmath>

#include "kernels/math_ref.h"
#include "kernels/ref/quantize_block.h"
#include "kernels/ref/rms_norm_row.h"

namespace tesserae {
namespace {

// Continues the chain `sum` over the groups of one block.
float add_block(const QuantizedFormat& format, const BlockFields& fields, const ActivationBlock* x, float sum) {
  const bool halves = format.group < kActivationBlock;
  for (int64_t g = 0; g < format.block_elements / format.group; ++g) {
    const int64_t start = g * format.group;
    const ActivationBlock& block = x[start / kActivationBlock];
    int32_t dot = 0;
    for (int64_t e = 0; e < format.group; ++e) {
      dot += block.values[start % kActivationBlock + e] * level_of(format, fields, start + e);
    }
    sum = std::fma(static_cast<float>(dot), fields.scale(g) * block.scale, sum);
    if (format.min_sign == 0) continue;
    const int32_t values = halves ? block.half_sums[g % 2] : block.sum;
    sum = std::fma(fields.min(format, g), block.scale * static_cast<float>(values), sum);
  }
  return sum;
}

// `rows`: the activations of the tile.
void multiply(const MatmulQuantizedParams& p, const QuantizedTile& tile, const ActivationBlock* rows) {
  const QuantizedTarget& t = *tile.target;
  const auto type = static_cast<QuantizedType>(t.type);
  const QuantizedFormat& format = quantized_format(type);
  const int64_t block_activations = format.block_elements / kActivationBlock;
  for (int64_t i = tile.first_row; i < tile.last_row; ++i) {
    const ActivationBlock* x = rows + (i - tile.first_row) * (p.k / kActivationBlock);
    for (int64_t j = tile.first_column; j < tile.last_column; ++j) {
      float sum = 0.0f;
      for (int64_t b = 0; b < p.k / format.block_elements; ++b) {
        BlockFields fields = {};
        read_packed_block(type, t.image, p.k, j, b, fields);
        sum = add_block(format, fields, x + b * block_activations, sum);
      }
      if (t.bias) sum += t.bias[j * t.bias_stride];
      sum = static_cast<float>(activate_ref(static_cast<Activation>(t.activation), sum));
      if (t.residual) sum += t.residual[i * t.residual_rs + j];
      t.c[i * t.c_rs + j] = sum;
    }
  }
}

// The tile's rows, normed and quantized into scratch.
const ActivationBlock* normed_rows(const MatmulQuantizedParams& p, const QuantizedTile& tile, Scratch& scratch) {
  auto* normed = reinterpret_cast<float*>(scratch.data);
  auto* blocks = reinterpret_cast<ActivationBlock*>(normed + kMostNormed);
  for (int64_t i = tile.first_row; i < tile.last_row; ++i) {
    rms_norm_row_ref(p.unnormed.x + i * p.unnormed.x_rs, normed, p.unnormed.weight, p.unnormed.eps, p.k);
    quantize_row_ref(normed, p.k, blocks + (i - tile.first_row) * (p.k / kActivationBlock));
  }
  return blocks;
}

void join_gated(const MatmulQuantizedParams& p, const QuantizedTile& tile) {
  const QuantizedTarget &gate = p.target[0], &up = p.target[1];
  const bool is_activated = static_cast<Activation>(gate.activation) != Activation::none;
  for (int64_t i = tile.first_row; i < tile.last_row; ++i) {
    float* y = gate.c + i * gate.c_rs;
    const float* other = up.c + i * up.c_rs;
    for (int64_t j = tile.first_column; j < tile.last_column; ++j) {
      y[j] = (is_activated ? y[j] : static_cast<float>(silu_ref(y[j]))) * other[j];
    }
    if (p.blocks == nullptr) continue;
    quantize_row_ref(y + tile.first_column, tile.last_column - tile.first_column,
                     p.blocks + (i * gate.n + tile.first_column) / kActivationBlock);
  }
}

}  // namespace

KernelStatus matmul_quantized_ref(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& p = op.as<MatmulQuantizedParams>();
  const QuantizedTile tile = quantized_tile(p, tile_index);
  const ActivationBlock* rows =
      p.unnormed.x ? normed_rows(p, tile, scratch) : p.x + tile.first_row * (p.k / kActivationBlock);
  multiply(p, tile, rows);
  if (p.gated) {
    multiply(p, gated_tile(p, tile), rows);
    join_gated(p, tile);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
