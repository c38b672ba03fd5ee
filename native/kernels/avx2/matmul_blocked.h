// The blocked loops of matmul, for the paths local_pack and shared_pack. What an instruction set brings is its
// micro-kernel; the loops are the same. Called by the matmul of each vector instruction set.
#pragma once

#include <algorithm>

#include "kernels/avx2/matmul_epilogue.h"
#include "kernels/avx2/pack_b.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Micro describes a micro-kernel:
//   kRows, kPanels   its micro-tile: rows of C, and panels of kNr columns
//   run<PackedA>(rows, columns, k, a, a_rs, b, from, to, to_rs)
//                    to[r, j] = from[r, j] + sum over p of a[r, p] · b[p, j]. `b` is panels of k × kNr floats, one after the
//                    other, as many as `columns` reach into; `from` (may be null, for zeros) has whole panels in a row.
//                    Writes whole panels, or exactly `columns` where can_store(columns).
//   can_pack_and_run(source)
//   pack_and_run<PackedA>(columns, k, a, a_rs, source, source_columns, panels, from, to, to_rs)
//                    run for kRows rows and B in place, which it also packs, to `panels`
//   can_store(columns)
//   pack_b(source, k, columns, to)   as pack_b.h says
//   pack_a(a, rs, cs, rows, k, to)   groups of kRows rows: group i is at to + i · kRows · k

// Rows of A that a tile reads together have more floats than stay in a second cache: then it asks for this much of each row
// before its micro-tile comes.
constexpr int64_t kNearFloats = int64_t{1} << 18;
constexpr int64_t kBeginningLines = 4;

// One row block × one block of B, all of k.
template <typename Micro>
struct BlockLoops {
  const MatmulParams& p;
  const MatmulOperands& x;
  Epilogue epilogue;
  float* packed_b;  // kc × nc
  float* partial;   // partial_floats as micro-tiles, in the order of the loops
  float* packed_a;  // mc × kc, and a little more

  BlockLoops(const MatmulParams& params, const MatmulOperands& operands, float* scratch)
      : p(params),
        x(operands),
        epilogue(params, operands),
        packed_b(scratch),
        partial(packed_b + p.blocks.kc * p.blocks.nc),
        packed_a(partial + partial_floats(p.blocks)) {}

  // A block of B: panels and, if these are yet to be filled by the first rows, where from.
  struct BlockOfB {
    const float* panels;
    PackSource source;
    bool is_packed;
  };

  // The block of B at (first_k, first_column), which `rows` rows begin with.
  BlockOfB block_of_b(int64_t first_k, int64_t block_k, int64_t first_column, int64_t columns, int64_t rows) const {
    if (static_cast<MatmulPath>(p.path) == MatmulPath::shared_pack) {
      return {x.packed_b + packed_panel_offset(p.n, first_k, block_k, first_column / kNr), {}, true};
    }
    const PackSource matrix = {x.b, static_cast<DType>(p.b_dtype), p.b_rs, p.b_cs};
    const BlockOfB block = {packed_b, pack_source_at(matrix, first_k, first_column),
                            rows < Micro::kRows || !Micro::can_pack_and_run(matrix)};
    if (block.is_packed) Micro::pack_b(block.source, block_k, columns, packed_b);
    return block;
  }

  // Asks for where the rows of a micro-tile begin: the hardware foresees how they go on, but not that they begin.
  void prefetch_rows(const float* a) const {
    for (int64_t i = 0; i < Micro::kRows; ++i) {
      for (int64_t line = 0; line < kBeginningLines; ++line) {
        _mm_prefetch(reinterpret_cast<const char*>(a + i * p.a_rs + line * kNr), _MM_HINT_T0);
      }
    }
  }

  // Micro-tiles of `rows` rows (in place, or packed) against the panels of one block of B. They cannot run in
  // parallel: the tile is the unit of that.
  template <bool PackedA>
  void micro_tiles(const float* a, const BlockOfB& b, int64_t block_k, int64_t first_row, int64_t rows,
                   int64_t first_column, int64_t columns, float* sums, bool is_first, bool is_last) const {
    constexpr int64_t kColumns = Micro::kPanels * kNr;
    const bool is_far = p.a_rs * rows > kNearFloats;
    alignas(64) float finished[Micro::kRows * kColumns];
    for (int64_t i = 0; i < rows; i += Micro::kRows) {
      const int64_t height = std::min<int64_t>(rows - i, Micro::kRows);
      const float* a_rows = PackedA ? a + i * block_k : a + i * p.a_rs;
      for (int64_t j = 0; j < columns; j += kColumns) {
        const int64_t width = std::min(columns - j, kColumns);
        const int64_t whole = (width + kNr - 1) / kNr * kNr;
        if (!PackedA && is_far && j + kColumns >= columns && i + Micro::kRows < rows) {
          prefetch_rows(a_rows + Micro::kRows * p.a_rs);
        }
        const float* from = is_first ? nullptr : sums;
        const int64_t row = first_row + i;
        const int64_t column = first_column + j;
        float* to = is_last ? finished : sums;
        int64_t to_rs = whole;
        int64_t stored = whole;
        if (is_last && epilogue.is_copy && Micro::can_store(width)) {
          to = epilogue.c + row * p.c_rs + column;
          to_rs = p.c_rs;
          stored = width;
        }
        if (b.is_packed || i > 0) {
          const float* panels = b.panels + j * block_k;
          Micro::template run<PackedA>(height, stored, block_k, a_rows, p.a_rs, panels, from, to, to_rs);
        } else {
          Micro::template pack_and_run<PackedA>(stored, block_k, a_rows, p.a_rs, pack_source_at(b.source, 0, j), width,
                                                packed_b + j * block_k, from, to, to_rs);
        }
        if (to == finished) {
          for (int64_t r = 0; r < height; ++r) epilogue.row(finished + r * whole, row + r, column, width);
        }
        sums += height * whole;
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
      const int64_t most_rows = p.a_cs == 1 ? rows : std::min(rows, p.blocks.mc);
      BlockOfB b = block_of_b(first_k, block_k, first_column, columns, most_rows);
      const float* a = x.a + first_row * p.a_rs + first_k * p.a_cs;
      if (p.a_cs == 1) {
        micro_tiles<false>(a, b, block_k, first_row, rows, first_column, columns, partial, is_first, is_last);
        continue;
      }
      for (int64_t i = 0; i < rows; i += p.blocks.mc) {
        const int64_t height = std::min(rows - i, p.blocks.mc);
        Micro::pack_a(a + i * p.a_rs, p.a_rs, p.a_cs, height, block_k, packed_a);
        micro_tiles<true>(packed_a, b, block_k, first_row + i, height, first_column, columns,
                          partial + i * panels * kNr, is_first, is_last);
        b.is_packed = true;
      }
    }
  }
};

template <typename Micro>
void blocked_tile(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const BlockLoops<Micro> loops(p, x, scratch);
  const int64_t rows = tile.last_row - tile.first_row;
  const int64_t widest = (std::min(tile.last_column - tile.first_column, p.blocks.nc) + kNr - 1) / kNr * kNr;
  // With one block of k there are no partial sums to keep, and any number of rows passes a block of B.
  const int64_t row_step = k_block_count(p.k, p.blocks.kc) == 1 ? rows : partial_rows<Micro::kRows>(p.blocks, widest);
  // Loop over blocks of B, then over row blocks.
  for (int64_t j = tile.first_column; j < tile.last_column; j += p.blocks.nc) {
    const int64_t columns = std::min(tile.last_column - j, p.blocks.nc);
    for (int64_t i = tile.first_row; i < tile.last_row; i += row_step) {
      loops.run(i, std::min(tile.last_row - i, row_step), j, columns);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
