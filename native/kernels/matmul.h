// matmul: C[i,j] = epilogue(sum over p of A[i,p] · B[p,j]), batched, any strides, B in f32, f16 or bf16.
// Not here: packing B for all tiles (pack_b.h). Called through the kernel table; src/ops/matmul.ts writes the records.
#pragma once

// The summation rule. Every output is the one chain
//     acc = 0;  for p = 0 .. k-1:  acc = fma(A[i,p], B[p,j], acc)
// and no other partial sum exists. Where k is cut into blocks, a block begins with the accumulators that the block
// before it left. So the bits depend neither on path, tiles, blocks and threads, nor on the instruction set, nor on
// which rows and batches are computed along with it.
//
// The epilogue runs once, after the last k: v = acc + bias[j]; v = activation(v); v = v + residual[i,j].
//
// Aliasing. C is written once per element, when it is final, and never read: unfinished sums rest in scratch. So the
// residual may be C itself (same address and strides). All else must not overlap C.
//
// The rules for choosing path and tiles (src/ops/matmul.ts); none of them changes a bit of the result. "Work" is
// 2·m·n·k of one matrix, in floating-point operations.
//   Fold first: where B is broadcast over a batch dimension and A, C and residual step over it by m rows, it becomes
//   part of m. Put the dimensions of the batch that are left into `batch`, outermost first, 1 in front.
//   Path     min(m, n) <= 32 and the wide operand (B, or A with m > n) lies along its rows; <= thin_across of the
//            kernel set where its k is contiguous; <= 8 where it has no unit stride:  thin
//            m·k <= 2^22 and batches · ceil(n / 32) >= 4 · threads:           local_pack
//            otherwise:                                                      shared_pack, after an op pack_b
//   thin     B in rows (b_cs == 1): tile_n = 1024, halved down to 128 while there are fewer than 2 · threads tiles or more
//            than 2.5e8 operations a tile; otherwise the same from 512 down to 32. Where k is contiguous, m <= 8, and some
//            step comes before: even tiles of at most 1 MiB (src/ops/reading-tiles.ts). tile_m = m. Mirrored (m > n): the
//            same with tile_m, tile_n = n.
//   local    m >= 128: of tile_n 128, 96, 64, 48, 32 and tile_m some part of m in multiples of 8, with at most 5.5e8 operations
//            a tile and at least 4 · threads tiles, those with which the workers are done first, where a tile takes
//            (tile_m + 5) · (tile_n + 1.5): it packs in the time of five rows, and fetches a row of A in that of 1.5 columns.
//            With none, or fewer rows: tile_m = m, tile_n = the largest of nc, 96, 64, 48, 32 with at most 2.5e8 operations a
//            tile and at least 8 · threads tiles; with none, 32.
//   shared   tile_n = nc; tile_m = the first of 264, 144, 72, 48 with at most 2.5e8 operations a tile and at least
//            8 · threads tiles; with none, 48 and half of nc, in whole panels. Where tile_m takes all rows, tile_n is that of
//            nc, 128, 96, 64, 48, 32 with which the workers are done first.
//   batches  tile_batches = 1, unless a whole matrix is less than 2e6 operations: then tile_m = m, tile_n = n (thin and
//            local_pack), and as many matrices a tile as make 2e6, while there are 8 · threads tiles.

#include "core/op.h"
#include "kernels/activation.h"
#include "kernels/block_sizes.h"
#include "kernels/pack_b.h"
#include "kernels/rows.h"

namespace tesserae {

// How B is read. Chosen by TypeScript; all paths give the same bits.
// The numbers are shared with src/ops/matmul.ts.
enum class MatmulPath : int64_t {
  thin = 0,         // the smaller of m and n <= kThinMax: the wide operand is read once, in place
  local_pack = 1,   // each tile packs the columns of B that it needs into scratch
  shared_pack = 2,  // B was packed before, by pack_b, for all tiles
};

// Tile index -> (batch group, column block, row block), the last running fastest: tiles that follow each other take the
// same block of B, which stays in L2. In local_pack, where each tile packs anew, (batch group, row block, column block):
// then it is the rows of A that stay in a cache.
// tile_count = ceil(batch.rows() / tile_batches) · ceil(m / tile_m) · ceil(n / tile_n).
struct MatmulParams {
  const float* a;
  const void* b;         // not read in shared_pack
  const float* packed_b;  // shared_pack: images as pack_b writes them
  float* c;              // unit column stride
  const float* bias;     // n values, or null
  const float* residual;  // m × n with unit column stride, or null
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
  int64_t b_dtype;     // DType: f32, f16 or bf16
  int64_t path;        // a MatmulPath
  int64_t activation;  // an Activation
  int64_t tile_m;      // any; a multiple of kMr (or m) is best
  int64_t tile_n;      // a multiple of kNr, or n
  int64_t tile_batches;
  BlockSizes blocks;  // those that packed_b was made with, if it was
  OuterShape batch;
  OuterStrides a_batch;  // elements of each operand per step of a batch dimension; 0 broadcasts
  OuterStrides b_batch;
  OuterStrides packed_batch;
  OuterStrides c_batch;
  OuterStrides residual_batch;
};

KernelStatus matmul_ref(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus matmul_avx2(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus matmul_avx512(const OpRecord& op, int64_t tile, Scratch& scratch);

// What one tile covers.
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
  const float* packed_b;
  float* c;
  const float* residual;
};

static inline MatmulOperands matmul_operands(const MatmulParams& p, int64_t batch) {
  const int64_t b_bytes = dtype_bytes(static_cast<DType>(p.b_dtype));
  MatmulOperands x = {p.a, p.b, p.packed_b, p.c, p.residual};
  x.a += row_offset(p.batch, p.a_batch, batch);
  x.c += row_offset(p.batch, p.c_batch, batch);
  if (p.b) x.b = static_cast<const char*>(p.b) + row_offset(p.batch, p.b_batch, batch) * b_bytes;
  if (p.packed_b) x.packed_b += row_offset(p.batch, p.packed_batch, batch);
  if (p.residual) x.residual += row_offset(p.batch, p.residual_batch, batch);
  return x;
}

}  // namespace tesserae
