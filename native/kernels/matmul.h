// matmul: C[i,j] = epilogue(sum over p of A[i,p] · B[p,j]), batched, any strides, B in f32, f16 or bf16. Not here:
// packing B for all tiles (pack_b.h). Called through the kernel table; src/ops/matmul/matmul.ts writes the records.
#pragma once

// The summation rule. Every output is one chain
//     acc = 0;  for p = 0 .. k-1:  acc = fma(A[i,p], B[p,j], acc)
// and no other partial sum exists. If k is cut into blocks, a block starts with the accumulators that the block before
// it left. So the bits do not depend on the path, tiles, blocks, threads or instruction set, nor on which other rows
// and batches are computed.
//
// The epilogue runs once, after the last k: v = acc + bias[j]; v = activation(v); v = v + residual[i,j].
//
// Around the product. So that decoding needs no steps of their own for these, an op of few rows may do two more things
// (shared_pack, A with unit column stride): norm its rows of A first, as rms_norm does, in each tile again; and multiply
// them by a second matrix too, to make C silu(C) · second, as silu_mul does. Both give the bits of the separate ops.
//
// Aliasing. Each element of C is written once, when it is final, and never read: unfinished sums are kept in scratch.
// So the residual may be C itself (same address and strides). No other operand may overlap C.
//
// The rules by which src/ops/matmul/matmul-tiles.ts chooses path and tiles. They do not change a bit of the result.
// "Operations" are the 2·m·n·k floating-point operations of one matrix, or of the part of it that a tile computes.
//   Fold     First (matmul.ts): if B is broadcast over a batch dimension, and A, C and residual step over it by m rows,
//            it becomes part of m. The remaining batch dimensions go into `batch`, outermost first, padded with 1.
//   Path     thin: min(m, n) is at most 32 if the wide operand (B, or A if m > n) is contiguous along its wide side, at
//            most thin_across of the kernel set if it is contiguous along k, at most 8 if it has no unit stride.
//            local_pack: else, if m·k <= 2^22 and batches · ceil(n / 32) >= 4 · threads.
//            shared_pack: else; an op pack_b comes before.
//   thin     tile_m = m. B contiguous along n (b_cs == 1): tile_n = 1024, halved down to 128 while there are fewer than
//            2 · threads tiles or a tile has more than 2.5e8 operations; otherwise the same from 512 down to 32. If k
//            is contiguous, m <= 8, there is no batch, and this is not the program's first step: equal tiles of at most
//            1 MiB (src/ops/matmul/reading-tiles.ts). Mirrored (m > n): the same for tile_m, and tile_n = n.
//   local    m >= 128: tile_n is one of 128, 96, 64, 48, 32, and tile_m a part of m in multiples of 8, with at most
//            5.5e8 operations a tile and at least 4 · threads tiles. Of these the pair is taken with which the workers
//            finish first, if a tile takes the time (tile_m + 5) · (tile_n + 1.5): packing costs as much as 5 rows, and
//            fetching a row of A as much as 1.5 columns.
//            If there is no such pair, or m < 128: tile_m = m, tile_n = the first of nc, 96, 64, 48, 32 with at most
//            2.5e8 operations a tile and at least 8 · threads tiles; if there is none, 32.
//   shared   tile_n = nc; tile_m = the first of 264, 144, 72, 48 with at most 2.5e8 operations a tile and at least
//            8 · threads tiles; if there is none, 48 with half of nc, in whole panels. If tile_m takes all rows, tile_n
//            is the one of nc, 128, 96, 64, 48, 32 with which the workers finish first. One row and 16-bit panels that
//            were packed before: the equal tiles of thin.
//   batches  tile_batches = 1, unless one matrix has fewer than 2e6 operations: then (thin and local_pack) tile_m = m,
//            tile_n = n, and a tile has as many matrices as make 2e6, as long as there are 8 · threads tiles.

#include "core/op.h"
#include "kernels/activation.h"
#include "kernels/block_sizes.h"
#include "kernels/pack_b.h"
#include "kernels/rows.h"

namespace tesserae {

// How B is read. Chosen by TypeScript; all paths give the same bits. The numbers are shared with
// src/ops/matmul/matmul-tiles.ts.
enum class MatmulPath : int64_t {
  thin = 0,         // min(m, n) <= kThinMax: the wide operand is read once, in place
  local_pack = 1,   // each tile packs the columns of B that it needs into scratch
  shared_pack = 2,  // pack_b has packed B for all tiles
};

// How each tile norms the rows of A before it multiplies them.
struct RowNorm {
  int64_t is_on;  // 1, or 0: A is as it should be. The rows then fit into scratch: m · k <= normed_floats(blocks)
  Pointer<const float> weight;  // [k], or null
  double eps;
};

// The second matrix of a gated unit; no bias or residual then. `packed_b` is null if there is none. C receives
// activation(first) · second, or silu(first) · second, as silu_mul computes it, if there is no activation.
struct GatedFactor {
  Pointer<const void> packed_b;  // an image of the same sizes and type as the first
  Pointer<float> c;              // m × n with the row stride of C; receives the second product, without an activation
};

// Tile index -> (batch group, column block, row block), the last one changing fastest: consecutive tiles use the same
// block of B, which stays in L2. In local_pack, where each tile packs its columns, it is (batch group, row block,
// column block): then the rows of A stay in a cache. tile_count = ceil(batch.rows() / tile_batches) · ceil(m / tile_m)
// · ceil(n / tile_n).
struct MatmulParams {
  Pointer<const float> a;
  Pointer<const void> b;         // not read in shared_pack
  Pointer<const void> packed_b;  // shared_pack: images written by pack_b
  Pointer<float> c;              // unit column stride
  Pointer<const float> bias;     // n values, or null
  Pointer<const float> residual;  // m × n with unit column stride, or null
  int64_t m;
  int64_t n;
  int64_t k;
  int64_t a_rs;  // strides in elements; 0 broadcasts
  int64_t a_cs;
  int64_t b_rs;
  int64_t b_cs;
  int64_t c_rs;
  int64_t bias_stride;  // 1, or 0 for one value for all columns
  int64_t residual_rs;
  int64_t b_dtype;     // DType of b and of packed_b: f32, f16 or bf16
  int64_t path;        // a MatmulPath
  int64_t activation;  // an Activation
  int64_t tile_m;      // any; a multiple of kMr (or m) is best
  int64_t tile_n;      // a multiple of kNr, or n
  int64_t tile_batches;
  BlockSizes blocks;  // in shared_pack those with which packed_b was written
  OuterShape batch;
  OuterStrides a_batch;  // elements of each operand per step of a batch dimension; 0 broadcasts
  OuterStrides b_batch;
  OuterStrides packed_batch;
  OuterStrides c_batch;
  OuterStrides residual_batch;
  RowNorm norm;
  GatedFactor gated;
};

KernelStatus matmul_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

// The matrices, rows and columns of C that one tile computes.
struct MatmulTile {
  int64_t first_batch, last_batch;
  int64_t first_row, last_row;
  int64_t first_column, last_column;
};

static inline MatmulTile matmul_tile(const MatmulParams& p, int64_t tile) {
  const auto smaller = [](int64_t x, int64_t y) { return x < y ? x : y; };
  const int64_t row_blocks = (p.m + p.tile_m - 1) / p.tile_m;
  const int64_t column_blocks = (p.n + p.tile_n - 1) / p.tile_n;
  const int64_t batch = tile / (row_blocks * column_blocks) * p.tile_batches;
  const int64_t at = tile % (row_blocks * column_blocks);
  const bool is_across = static_cast<MatmulPath>(p.path) == MatmulPath::local_pack;
  const int64_t column = (is_across ? at % column_blocks : at / row_blocks) * p.tile_n;
  const int64_t row = (is_across ? at / column_blocks : at % row_blocks) * p.tile_m;
  return {batch,  smaller(batch + p.tile_batches, p.batch.rows()),
          row,    smaller(row + p.tile_m, p.m),
          column, smaller(column + p.tile_n, p.n)};
}

// The operands of one matrix of the batch.
struct MatmulOperands {
  const float* a;
  const void* b;
  const void* packed_b;
  float* c;
  const float* residual;
};

static inline MatmulOperands matmul_operands(const MatmulParams& p, int64_t batch) {
  const int64_t b_bytes = dtype_bytes(static_cast<DType>(p.b_dtype));
  MatmulOperands x = {p.a, p.b, p.packed_b, p.c, p.residual};
  x.a += row_offset(p.batch, p.a_batch, batch);
  x.c += row_offset(p.batch, p.c_batch, batch);
  if (p.b) x.b = static_cast<const char*>(p.b) + row_offset(p.batch, p.b_batch, batch) * b_bytes;
  if (p.packed_b) {
    x.packed_b = static_cast<const char*>(p.packed_b) + row_offset(p.batch, p.packed_batch, batch) * b_bytes;
  }
  if (p.residual) x.residual += row_offset(p.batch, p.residual_batch, batch);
  return x;
}

}  // namespace tesserae
