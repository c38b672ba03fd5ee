// matmul with AVX2: the blocked loops of the local_pack and shared_pack paths, and the way to the thin path.
#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/avx2/matmul_epilogue.h"
#include "kernels/avx2/matmul_thin.h"
#include "kernels/avx2/pack_a.h"
#include "kernels/avx2/pack_b.h"
#include "kernels/avx2/sgemm_6x16.h"

namespace tesserae {
namespace matmul {
namespace {

using MicroKernel = void (*)(int64_t k, const float* a, int64_t a_rs, const float* b, const float* from, float* to,
                             int64_t to_rs);

template <bool PackedA, int Vectors>
constexpr MicroKernel kByRows[kMr + 1] = {nullptr,
                                          sgemm_avx2_6x16<1, Vectors, PackedA>,
                                          sgemm_avx2_6x16<2, Vectors, PackedA>,
                                          sgemm_avx2_6x16<3, Vectors, PackedA>,
                                          sgemm_avx2_6x16<4, Vectors, PackedA>,
                                          sgemm_avx2_6x16<5, Vectors, PackedA>,
                                          sgemm_avx2_6x16<6, Vectors, PackedA>};

// One row block × one block of B, all of k.
struct BlockLoops {
  const MatmulParams& p;
  const MatmulOperands& x;
  Epilogue epilogue;
  float* packed_b;  // kc × nc
  float* partial;   // partial_rows × nc as micro-tiles of kMr × kNr, in the order of the loops
  float* packed_a;  // mc × kc, and a little more

  BlockLoops(const MatmulParams& params, const MatmulOperands& operands, float* scratch)
      : p(params),
        x(operands),
        epilogue(params, operands),
        packed_b(scratch),
        partial(packed_b + p.blocks.kc * p.blocks.nc),
        packed_a(partial + partial_rows(p.blocks) * p.blocks.nc) {}

  // The block of B at (first_k, first_column) as panels.
  const float* block_of_b(int64_t first_k, int64_t block_k, int64_t first_column, int64_t columns) const {
    if (static_cast<MatmulPath>(p.path) == MatmulPath::shared_pack) {
      return x.packed_b + packed_panel_offset(p.n, first_k, block_k, first_column / kNr);
    }
    const PackSource matrix = {x.b, static_cast<DType>(p.b_dtype), p.b_rs, p.b_cs};
    pack_b_panels_avx2(pack_source_at(matrix, first_k, first_column), block_k, columns, packed_b);
    return packed_b;
  }

  // Micro-tiles of `rows` rows (in place, or packed) against the panels of one block of B. They cannot run in
  // parallel: the tile is the unit of that.
  template <bool PackedA>
  void micro_tiles(const float* a, const float* b, int64_t block_k, int64_t first_row, int64_t rows,
                   int64_t first_column, int64_t columns, float* sums, bool is_first, bool is_last) const {
    const int64_t panels = (columns + kNr - 1) / kNr;
    alignas(32) float finished[kMr * kNr];
    for (int64_t i = 0; i < rows; i += kMr) {
      const int64_t height = std::min(rows - i, kMr);
      const float* a_rows = PackedA ? a + i * block_k : a + i * p.a_rs;
      for (int64_t panel = 0; panel < panels; ++panel, sums += kMr * kNr) {
        const int64_t width = std::min(columns - panel * kNr, kNr);
        const int64_t row = first_row + i;
        const int64_t column = first_column + panel * kNr;
        const auto kernel = width > 8 ? kByRows<PackedA, 2>[height] : kByRows<PackedA, 1>[height];
        const float* from = is_first ? nullptr : sums;
        const float* b_panel = b + panel * block_k * kNr;
        if (!is_last) {
          kernel(block_k, a_rows, p.a_rs, b_panel, from, sums, kNr);
        } else if (epilogue.is_copy && width % 8 == 0) {
          kernel(block_k, a_rows, p.a_rs, b_panel, from, epilogue.c + row * p.c_rs + column, p.c_rs);
        } else {
          kernel(block_k, a_rows, p.a_rs, b_panel, from, finished, kNr);
          for (int64_t r = 0; r < height; ++r) epilogue.row(finished + r * kNr, row + r, column, width);
        }
      }
    }
  }

  void run(int64_t first_row, int64_t rows, int64_t first_column, int64_t columns) const {
    const int64_t panels = (columns + kNr - 1) / kNr;
    const int64_t step = k_block_size(p.k, p.blocks.kc);
    // Loop over k-blocks: each begins with the sums that the one before left.
    for (int64_t first_k = 0; first_k < p.k; first_k += step) {
      const int64_t block_k = std::min(step, p.k - first_k);
      const bool is_first = first_k == 0;
      const bool is_last = first_k + step >= p.k;
      const float* b = block_of_b(first_k, block_k, first_column, columns);
      const float* a = x.a + first_row * p.a_rs + first_k * p.a_cs;
      if (p.a_cs == 1) {
        micro_tiles<false>(a, b, block_k, first_row, rows, first_column, columns, partial, is_first, is_last);
        continue;
      }
      for (int64_t i = 0; i < rows; i += p.blocks.mc) {
        const int64_t height = std::min(rows - i, p.blocks.mc);
        pack_a(a + i * p.a_rs, p.a_rs, p.a_cs, height, block_k, packed_a);
        micro_tiles<true>(packed_a, b, block_k, first_row + i, height, first_column, columns,
                          partial + i * panels * kNr, is_first, is_last);
      }
    }
  }
};

void blocked_tile(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const BlockLoops loops(p, x, scratch);
  const int64_t rows = tile.last_row - tile.first_row;
  // With one block of k there are no partial sums to keep, and any number of rows passes a block of B.
  const int64_t row_step = k_block_count(p.k, p.blocks.kc) == 1 ? rows : partial_rows(p.blocks);
  // Loop over blocks of B, then over row blocks.
  for (int64_t j = tile.first_column; j < tile.last_column; j += p.blocks.nc) {
    const int64_t columns = std::min(tile.last_column - j, p.blocks.nc);
    for (int64_t i = tile.first_row; i < tile.last_row; i += row_step) {
      loops.run(i, std::min(tile.last_row - i, row_step), j, columns);
    }
  }
}

}  // namespace
}  // namespace matmul

KernelStatus matmul_avx2(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& p = op.as<MatmulParams>();
  auto* floats = reinterpret_cast<float*>(scratch.data);
  const MatmulTile tile = matmul_tile(p, tile_index);
  for (int64_t batch = tile.first_batch; batch < tile.last_batch; ++batch) {
    const MatmulOperands x = matmul_operands(p, batch);
    if (static_cast<MatmulPath>(p.path) == MatmulPath::thin) matmul::thin_tile_avx2(p, x, tile, floats);
    else matmul::blocked_tile(p, x, tile, floats);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
