// matmul_quantized: C[i,j] = epilogue(sum over p of x[i,p] · w[j,p]) for packed quantized weights (strip.h) and
// quantized activations (quantized_rows.h). Called through the kernel table; src/ops/matmul/matmul-quantized.ts writes
// the records.
#pragma once

#include "core/op.h"
#include "kernels/activation.h"
#include "kernels/formats/strip.h"
#include "kernels/quantized_rows.h"

namespace tesserae {

// The summation rule. A group is 16 or 32 weights that share a scale. Every output is one chain over the groups of k,
// in order:
//     acc = 0
//     acc = fma(float(Σ value · level), weight scale · activation scale, acc)
//     acc = fma(min, activation scale · float(Σ value), acc)              types with a minimum only
// The sums Σ are exact integers. So the bits do not depend on tiles, blocks, threads or the instruction set, nor on
// which other rows are computed. The epilogue is that of matmul: bias, activation, residual.
//
// `c` may be `residual`; no other operand may overlap it.

// One product of the op. The products of an op have the same activations and different weights.
struct QuantizedTarget {
  Pointer<const unsigned char> image;
  Pointer<float> c;              // unit column stride
  Pointer<const float> bias;     // n values, or null
  Pointer<const float> residual;  // unit column stride, or null
  int64_t type;          // a QuantizedType
  int64_t n;
  int64_t c_rs;  // strides in elements
  int64_t bias_stride;  // 1, or 0 for one value for all columns
  int64_t residual_rs;
  int64_t activation;  // an Activation
  int64_t tile_n;      // a multiple of 16, or n
  int64_t first_tile;  // index of its first tile; its tiles are (row block, column block), the last changing fastest
};

constexpr int kMostTargets = 3;

// The rows of an op before they are normed as rms_norm does and quantized: each tile does so for its rows.
struct UnnormedRows {
  Pointer<const float> x;       // [m, k] with unit column stride; null: the op's rows are given as blocks
  int64_t x_rs;
  Pointer<const float> weight;  // [k], or null
  double eps;
};

// The most activations that a tile norms: they are in scratch beside all else.
constexpr int64_t kMostNormed = 65536;

struct MatmulQuantizedParams {
  Pointer<const ActivationBlock> x;  // [m][k / 32]; null if they are in `unnormed`
  int64_t m;
  int64_t k;  // whole blocks
  int64_t tile_m;
  int64_t targets;  // 1 to kMostTargets
  QuantizedTarget target[kMostTargets];
  UnnormedRows unnormed;
  // 1: there are two targets of equal n, and the first one's result is multiplied by the second one's; if the first one has
  // no activation, it is silu(first) · second, as silu_mul computes it. The second one's is left as it is. A tile computes
  // the same columns of both: tiles are those of the first, and tile_n is a multiple of 32 or n.
  int64_t gated;
  // If not null (only if gated), receives the first one's result quantized to int8 as well: [m][n / 32].
  Pointer<ActivationBlock> blocks;
};

KernelStatus matmul_quantized_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

// The product, rows and columns that one tile computes.
struct QuantizedTile {
  const QuantizedTarget* target;
  int64_t first_row, last_row;
  int64_t first_column, last_column;
};

static inline QuantizedTile quantized_tile(const MatmulQuantizedParams& p, int64_t tile) {
  const auto smaller = [](int64_t x, int64_t y) { return x < y ? x : y; };
  int64_t index = p.gated ? 0 : p.targets - 1;
  while (tile < p.target[index].first_tile) --index;
  const QuantizedTarget& target = p.target[index];
  const int64_t own = tile - target.first_tile;
  const int64_t column_blocks = (target.n + target.tile_n - 1) / target.tile_n;
  const int64_t row = own / column_blocks * p.tile_m;
  const int64_t column = own % column_blocks * target.tile_n;
  return {&target, row, smaller(row + p.tile_m, p.m), column, smaller(column + target.tile_n, target.n)};
}

// The same rows and columns of the second target, for an op that is gated.
static inline QuantizedTile gated_tile(const MatmulQuantizedParams& p, const QuantizedTile& tile) {
  return {&p.target[1], tile.first_row, tile.last_row, tile.first_column, tile.last_column};
}

}  // namespace tesserae
