// The blocked loops of matmul, for the paths local_pack and shared_pack. Included by matmul.cpp, which passes the
// micro-kernel (matmul_micro.h). Not here: the thin path.
#pragma once

#include <algorithm>

#include "kernels/simd/matmul_epilogue.h"
#include "kernels/simd/matmul_micro.h"
#include "kernels/simd/pack_b.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// The loops from the outermost in. Only the tiles of an op run in parallel (they write disjoint parts of C); the loops
// within a tile run on one worker.
//   LOOP 5  blocked_tile   splits n (B, C) into blocks of nc columns
//   LOOP 4  blocked_tile   splits m (A, C) into row blocks, as large as the room for partial sums
//   LOOP 3  run            splits k (A, B) into blocks of kc
//   LOOP 3a run            splits m (A, C) into blocks of mc, only if A must be packed
//   LOOP 2  micro_tiles    splits m (A, C) into kRows rows
//   LOOP 1  micro_tiles    splits n (B, C) into kPanels panels of kNr columns
//   then the micro-kernel: k steps of a kRows × (kPanels · kNr) micro-tile in registers
//
// Micro describes a micro-kernel:
//   kRows, kPanels   its micro-tile: rows of C, and panels of kNr columns
//   run<PackedA, PanelsIn>(rows, columns, k, a, a_rs, b, from, to, to_rs)
//                    to[r, j] = from[r, j] + sum over p of a[r, p] · b[p, j]. `b` is contiguous panels of k × kNr
//                    elements, ceil(columns / kNr) of them; a row of `from` (null for zeros) has whole panels.
//                    Writes whole panels, or exactly `columns` if can_store(columns).
//   can_pack_and_run(source)
//   pack_and_run<PackedA>(columns, k, a, a_rs, source, source_columns, panels, from, to, to_rs)
//                    run() for kRows rows, reading B in place; it also writes B's panels to `panels`
//   can_store(columns)
//   pack_a(a, rs, cs, rows, k, to)   packs A into groups of kRows rows: group i is at to + i · kRows · k

// If the rows of A that a block reads have more floats than kNearFloats, they do not stay in L2. Then kBeginningLines
// cache lines of each of the next rows are prefetched.
constexpr int64_t kNearFloats = int64_t{1} << 18;
constexpr int64_t kBeginningLines = 4;

// Up to this many micro-tiles of rows have about the same number of rows.
constexpr int64_t kEvenParts = 4;

// Up to this many rows the micro-kernels read panels of 16 bits as they are. For more rows, a block of them is widened
// once.
constexpr int64_t kHalvesRows = 96;

// Loops 3 to 1: one row block × one block of B, for all of k.
template <typename Micro>
struct BlockLoops {
  const MatmulParams& p;
  const MatmulOperands& x;
  Epilogue epilogue;
  float* packed_b;  // kc × nc
  float* partial;   // partial sums as micro-tiles, in the order of the loops
  float* packed_a;  // mc × kc, and 16 floats that packing may overwrite

  BlockLoops(const MatmulParams& params, const MatmulOperands& operands, float* scratch)
      : p(params),
        x(operands),
        epilogue(params, operands),
        packed_b(scratch),
        partial(packed_b + p.blocks.kc * p.blocks.nc),
        packed_a(partial + partial_floats(p.blocks)) {}

  // A block of B. If it is not packed yet, pack_and_run fills `panels` from `source` with the first rows.
  template <typename Element>
  struct BlockOfB {
    const Element* panels;
    PackSource source;
    bool is_packed;
    bool is_shared;  // the panels are those of the image, which the first rows read from memory
  };

  // The block of B at (first_k, first_column) of the image, in place.
  template <typename Element>
  BlockOfB<Element> shared_block(int64_t first_k, int64_t block_k, int64_t first_column) const {
    const int64_t at = packed_panel_offset(p.n, first_k, block_k, first_column / kNr);
    return {static_cast<const Element*>(x.packed_b) + at, {}, true, true};
  }

  // The same block as floats. `rows` is how many rows the first micro_tiles has.
  BlockOfB<float> block_of_b(int64_t first_k, int64_t block_k, int64_t first_column, int64_t columns, int64_t rows) const {
    const auto dtype = static_cast<DType>(p.b_dtype);
    if (static_cast<MatmulPath>(p.path) == MatmulPath::shared_pack) {
      const int64_t count = panel_count(columns) * kNr * block_k;
      if (dtype == DType::f32) return shared_block<float>(first_k, block_k, first_column);
      if (dtype == DType::f16) widen_panels(shared_block<Half>(first_k, block_k, first_column).panels, count, packed_b);
      else widen_panels(shared_block<Bfloat>(first_k, block_k, first_column).panels, count, packed_b);
      return {packed_b, {}, true, false};
    }
    const PackSource matrix = {x.b, dtype, p.b_rs, p.b_cs};
    const BlockOfB<float> block = {packed_b, pack_source_at(matrix, first_k, first_column),
                                   rows < Micro::kRows || !Micro::can_pack_and_run(matrix), false};
    if (block.is_packed) pack_b_panels(block.source, block_k, columns, packed_b);
    return block;
  }

  // Prefetches the start of the rows of a micro-tile. The hardware prefetchers follow a row, but do not predict where
  // the next ones start.
  void prefetch_rows(const float* a) const {
    for (int64_t i = 0; i < Micro::kRows; ++i) {
      for (int64_t line = 0; line < kBeginningLines; ++line) {
        prefetch(a + i * p.a_rs + line * kNr);
      }
    }
  }

  // Computes the micro-tiles of `rows` rows (in place, or packed) with the panels of one block of B.
  template <bool PackedA, typename Element>
  void micro_tiles(const float* a, const BlockOfB<Element>& b, int64_t block_k, int64_t first_row, int64_t rows,
                   int64_t first_column, int64_t columns, float* sums, bool is_first, bool is_last) const {
    constexpr int64_t kColumns = Micro::kPanels * kNr;
    const bool is_far = p.a_rs * rows > kNearFloats;
    alignas(64) float finished[Micro::kRows * kColumns];
    // Few rows are split evenly, since a micro-tile of few rows waits for its FMAs: eight rows into 4 + 4, not 6 + 2.
    const int64_t parts = (rows + Micro::kRows - 1) / Micro::kRows;
    const int64_t step = PackedA || !b.is_packed || parts > kEvenParts ? Micro::kRows : (rows + parts - 1) / parts;
    // LOOP 2: split m into kRows rows (A, C); these rows stay in L1.
    for (int64_t i = 0; i < rows; i += step) {
      const int64_t height = std::min<int64_t>(rows - i, step);
      const float* a_rows = PackedA ? a + i * block_k : a + i * p.a_rs;
      // LOOP 1: split n into kPanels panels (B, C).
      for (int64_t j = 0; j < columns; j += kColumns) {
        const int64_t width = std::min(columns - j, kColumns);
        const int64_t whole = (width + kNr - 1) / kNr * kNr;
        if (!PackedA && is_far && j + kColumns >= columns && i + step < rows) {
          prefetch_rows(a_rows + step * p.a_rs);
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
          const Element* panels = b.panels + j * block_k;
          if (!PackedA && b.is_shared && i == 0) {
            Micro::template run<false, PanelsIn::memory>(height, stored, block_k, a_rows, p.a_rs, panels, from, to, to_rs);
          } else {
            Micro::template run<PackedA, PanelsIn::cache>(height, stored, block_k, a_rows, p.a_rs, panels, from, to, to_rs);
          }
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
    const bool reads_halves = static_cast<MatmulPath>(p.path) == MatmulPath::shared_pack && p.a_cs == 1 &&
                              static_cast<DType>(p.b_dtype) != DType::f32 && rows <= kHalvesRows;
    // LOOP 3: split k into blocks of kc (A, B). Cannot run in parallel: each block continues the sums of the one
    // before.
    for (int64_t first_k = 0; first_k < p.k; first_k += step) {
      const int64_t block_k = std::min(step, p.k - first_k);
      const bool is_first = first_k == 0;
      const bool is_last = first_k + step >= p.k;
      const int64_t most_rows = p.a_cs == 1 ? rows : std::min(rows, p.blocks.mc);
      const float* a = x.a + first_row * p.a_rs + first_k * p.a_cs;
      const auto in_place = [&](const auto& block) {
        micro_tiles<false>(a, block, block_k, first_row, rows, first_column, columns, partial, is_first, is_last);
      };
      if (reads_halves) {
        if (static_cast<DType>(p.b_dtype) == DType::f16) in_place(shared_block<Half>(first_k, block_k, first_column));
        else in_place(shared_block<Bfloat>(first_k, block_k, first_column));
        continue;
      }
      BlockOfB<float> b = block_of_b(first_k, block_k, first_column, columns, most_rows);
      if (p.a_cs == 1) {
        in_place(b);
        continue;
      }
      // LOOP 3a: split m into blocks of mc (A, C), each packed before it is used.
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
  // With one block of k there are no partial sums, and all rows form one row block.
  const int64_t row_step = k_block_count(p.k, p.blocks.kc) == 1 ? rows : partial_rows<Micro::kRows>(p.blocks, widest);
  // LOOP 5: split n into blocks of nc (B, C).
  for (int64_t j = tile.first_column; j < tile.last_column; j += p.blocks.nc) {
    const int64_t columns = std::min(tile.last_column - j, p.blocks.nc);
    // LOOP 4: split m into row blocks (A, C), whose partial sums fit into scratch.
    for (int64_t i = tile.first_row; i < tile.last_row; i += row_step) {
      loops.run(i, std::min(tile.last_row - i, row_step), j, columns);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
