// One tile of matmul_quantized: blocked loops over panels for several rows, one pass over the image for one row. The same
// for every vector instruction set, except for multiply_panel, store_quads, store_scales and dot_strip_group
// (quantized_panel_rows.h and quantized_group.h of the set), which must be included before this file.
#pragma once

#include <algorithm>

#include "kernels/simd/matmul_epilogue.h"
#include "kernels/simd/quantized_few.h"
#include "kernels/simd/quantized_panel.h"
#include "kernels/matmul_quantized.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

struct Tile {
  const MatmulQuantizedParams& p;
  const QuantizedTarget& t;
  int64_t first_row, rows, first_column, columns;
  matmul::FinishRows finish = matmul::finish_rows<Activation::none>;

  Tile(const MatmulQuantizedParams& params, const QuantizedTile& tile)
      : p(params),
        t(*tile.target),
        first_row(tile.first_row),
        rows(tile.last_row - tile.first_row),
        first_column(tile.first_column),
        columns(tile.last_column - tile.first_column) {
    with_activation(static_cast<Activation>(t.activation),
                            [&](auto kind) { finish = matmul::finish_rows<decltype(kind)::value>; });
  }

  int64_t x_stride() const { return p.k / kActivationBlock; }
  const ActivationBlock* x() const { return p.x + first_row * x_stride(); }

  // Fetches the lines that write() accesses in some rows: C comes from memory where it is large, as logits are.
  void fetch(int64_t row, int64_t row_count, int64_t column, int64_t count) const {
    for (int64_t i = first_row + row; i < first_row + row + row_count; ++i) {
      for (int64_t j = column; j < column + count; j += 16) {
        prefetch(t.c + i * t.c_rs + j);
        if (t.residual) prefetch(t.residual + i * t.residual_rs + j);
      }
    }
  }

  // Writes `count` columns of all rows from their sums, those of a row `sums_stride` apart.
  void write(const float* sums, int64_t sums_stride, int64_t column, int64_t count) const {
    finish(sums, sums_stride, rows, count, t.bias ? t.bias + column * t.bias_stride : nullptr, t.bias_stride,
           t.residual ? t.residual + first_row * t.residual_rs + column : nullptr, t.residual_rs,
           t.c + first_row * t.c_rs + column, t.c_rs);
  }
};

// The cut of a tile that is computed with panels. Its sums and its activations in order are in scratch.
struct Cut {
  // Rows of weights (columns of C) whose sums are kept, a multiple of kPanelRows.
  int64_t columns;
  // k of which activations are kept in order, a multiple of kPanelK.
  int64_t k;
};

constexpr int64_t kSumsBytes = int64_t{1} << 20;
// Half of a small L2.
constexpr int64_t kMostOrderedBytes = int64_t{256} << 10;
// At the end of scratch: normed rows (quantized_around.h).
constexpr int64_t kNormedBytes = kMostNormed * int64_t{sizeof(float)} + kMostNormed / kActivationBlock * int64_t{sizeof(ActivationBlock)};
static_assert(2 * sizeof(Panel) + kSumsBytes + kMostOrderedBytes + kNormedBytes <= kScratchBytes, "room for all");

template <typename K>
Cut cut_of(const Tile& tile) {
  const auto whole = [](int64_t size, int64_t step) { return std::max(size / step, int64_t{1}) * step; };
  return {whole(kSumsBytes / 4 / tile.rows, kPanelRows),
          whole(kMostOrderedBytes / kOrderedBytes<K> / tile.rows * kActivationBlock, kPanelK)};
}

// Multiplies all rows of a tile with a panel; `x` is their activations in order. Calls begin(row, rows) before each group.
// LOOP 1: split the rows into groups.
template <QuantizedType type, typename Begin>
void multiply_panel_rows(const Panel& panel, int64_t blocks, const unsigned char* x, const RowGroups& groups, float* sums,
                         Ahead<type>& ahead, Begin begin) {
  using K = typename Unit<type>::K;
  for (int64_t group = 0, row = 0; group < groups.count; ++group) {
    const int64_t rows = groups.size(group);
    begin(row, rows);
    row += rows;
    with_rows<kMicroRows>(rows, [&](auto count) __attribute__((always_inline)) {
      constexpr int kRows = decltype(count)::value;
      const auto* ordered = reinterpret_cast<const OrderedBlock<K, kRows>*>(x);
      multiply_panel<type, kRows>(panel, blocks, ordered, sums, ahead);
    });
    x += blocks * rows * kOrderedBytes<K>;
    sums += rows * kPanelRows;
  }
}

// How a part of k is split into panels of about equal size, at most kPanelK, so that memory is read at an even rate: the
// first `larger` panels have one block more.
struct PanelSplit {
  int64_t k, count, least, larger;
  explicit PanelSplit(int64_t part_k)
      : k(part_k),
        count((part_k + kPanelK - 1) / kPanelK),
        least(part_k / kActivationBlock / count),
        larger(part_k / kActivationBlock % count) {}
  int64_t first_block(int64_t panel) const { return panel * least + std::min(panel, larger); }
  int64_t panel_blocks(int64_t panel) const { return least + (panel < larger ? 1 : 0); }
};

// Writes the activations of a tile from first_k on in the order of multiply_panel_rows: panel after panel, in each of them
// group after group.
template <typename K>
void order_rows(const Tile& tile, int64_t first_k, const PanelSplit& split, const RowGroups& groups, unsigned char* to) {
  for (int64_t panel = 0; panel < split.count; ++panel) {
    const ActivationBlock* x = tile.x() + first_k / kActivationBlock + split.first_block(panel);
    const int64_t blocks = split.panel_blocks(panel);
    for (int64_t group = 0; group < groups.count; ++group) {
      const int64_t rows = groups.size(group);
      with_rows<kMicroRows>(rows, [&](auto count) __attribute__((always_inline)) {
        constexpr int kRows = decltype(count)::value;
        order_group<K, kRows>(x, tile.x_stride(), blocks, reinterpret_cast<OrderedBlock<K, kRows>*>(to));
      });
      x += rows * tile.x_stride();
      to += blocks * rows * kOrderedBytes<K>;
    }
  }
}

// Walks through the panels of a run of columns and a part of k, along k first.
template <QuantizedType type>
struct PanelWalk {
  using U = Unit<type>;
  const Tile* tile;
  const PanelSplit* split;
  int64_t part;    // of k
  int64_t last;    // column
  int64_t column;  // of the panel
  int64_t panel;   // of the part

  bool ends() const { return column >= last; }
  int64_t first_block() const { return split->first_block(panel); }
  int64_t blocks() const { return split->panel_blocks(panel); }
  void advance() {
    if (++panel == split->count) panel = 0, column += kPanelRows;
  }
  PanelSource source() const {
    constexpr int64_t kUnitBlocks = U::format.block_elements / kActivationBlock;
    const int64_t strip_size = strip_bytes(U::format, tile->p.k);
    const int64_t strip = (tile->first_column + column) / kStripRows, strips = strip_count(tile->t.n);
    const int64_t unit = part / U::format.block_elements + first_block() / kUnitBlocks;
    PanelSource from = {{}, strips - strip, blocks(), blocks() / kUnitBlocks * U::layout.unit_bytes};
    for (int s = 0; s < kPanelStrips; ++s) {
      from.strips[s] = tile->t.image + std::min(strip + s, strips - 1) * strip_size + unit * U::layout.unit_bytes;
    }
    return from;
  }
};

// Adds the products of a run of columns and a part of k to `all_sums`: [columns / kPanelRows][rows][kPanelRows]. In the
// first part they begin with 0, in the last one they are written, both while they are in L1. LOOP 2: split columns and k into
// panels. Each one is decoded while rows are multiplied with the one before.
template <QuantizedType type>
void multiply_run(PanelWalk<type> at, const RowGroups& groups, const unsigned char* ordered, Panel* panels,
                  float* all_sums) {
  using K = typename Unit<type>::K;
  const Tile& tile = *at.tile;
  const int64_t rows = tile.rows, first = at.column;
  const bool is_first = at.part == 0, is_last = at.part + at.split->k >= tile.p.k;
  const bool into_l2 = fetches_into_l2(groups.count);
  PanelWalk<type> to_decode = at, to_fetch = at;
  PanelSource next = to_decode.source();
  for (int64_t b = 0; b < next.blocks; ++b) decode_block<type>(next, b, panels[0]);
  to_decode.advance();
  to_fetch.advance();
  next = to_decode.source();
  for (int parity = 0; !at.ends(); at.advance(), parity ^= 1) {
    to_fetch.advance();
    const PanelSource after = to_fetch.source();
    if (to_decode.ends()) next.blocks = 0;
    Ahead<type> ahead(next, after, panels[parity ^ 1], at.blocks() * groups.count, into_l2);
    const unsigned char* x = ordered + at.first_block() * rows * kOrderedBytes<K>;
    // With a single part, the sums of one panel are kept.
    float* sums = all_sums + (is_first && is_last ? 0 : (at.column - first) * rows);
    if (is_first && at.panel == 0) std::fill_n(sums, rows * kPanelRows, 0.0f);
    const bool ends_sums = is_last && at.panel == at.split->count - 1;
    const int64_t column = tile.first_column + at.column, count = std::min(tile.columns - at.column, kPanelRows);
    const auto begin = [&](int64_t row, int64_t row_count) {
      if (ends_sums) tile.fetch(row, row_count, column, count);
    };
    multiply_panel_rows<type>(panels[parity], at.blocks(), x, groups, sums, ahead, begin);
    if (ends_sums) tile.write(sums, kPanelRows, column, count);
    to_decode = to_fetch;
    next = after;
  }
}

// The loops for several rows. Only the tiles of an op run in parallel; these run on one worker. The weights are read from
// memory once, and used for all rows of the tile.
template <QuantizedType type>
void panel_tile(const Tile& tile, Scratch& scratch) {
  using K = typename Unit<type>::K;
  auto* panels = reinterpret_cast<Panel*>(scratch.data);
  auto* all_sums = reinterpret_cast<float*>(scratch.data + 2 * sizeof(Panel));
  unsigned char* ordered = scratch.data + 2 * sizeof(Panel) + kSumsBytes;
  const Cut cut = cut_of<K>(tile);
  const RowGroups groups(tile.rows, kMicroRows);
  // LOOP 4: split the rows of weights into runs whose sums fit.
  for (int64_t first = 0; first < tile.columns; first += cut.columns) {
    const int64_t last = std::min(first + cut.columns, tile.columns);
    // LOOP 3: split k into parts whose activations fit. Cannot run in parallel: each part continues the sums of the one
    // before, and so does each panel.
    for (int64_t part = 0; part < tile.p.k; part += cut.k) {
      const PanelSplit split(std::min(cut.k, tile.p.k - part));
      if (first == 0 || cut.k < tile.p.k) order_rows<K>(tile, part, split, groups, ordered);
      multiply_run<type>({&tile, &split, part, last, first, 0}, groups, ordered, panels, all_sums);
    }
  }
}

template <QuantizedType type>
void typed_tile(const Tile& tile, Scratch& scratch) {
  using U = Unit<type>;
  const int64_t k = tile.p.k;
  const int64_t strip_size = k / U::format.block_elements * U::layout.unit_bytes;
  if (tile.rows > unpacked_rows<typename U::K>()) return panel_tile<type>(tile, scratch);
  prefetch_start(tile.t.image + tile.first_column / kStripRows * strip_size);
  // The only loop for few rows: split the rows of weights into strips.
  for (int64_t j = 0; j < tile.columns; j += kStripRows) {
    const unsigned char* strip = tile.t.image + (tile.first_column + j) / kStripRows * strip_size;
    alignas(32) float sums[kMostFewRows * kStripRows];
    multiply_strip_rows<type>(strip, k, tile.x(), tile.x_stride(), tile.rows, sums);
    const int64_t count = std::min(tile.columns - j, kStripRows);
    tile.write(sums, kStripRows, tile.first_column + j, count);
  }
}

inline void run_quantized_tile(const MatmulQuantizedParams& p, const QuantizedTile& part, Scratch& scratch) {
  const Tile tile(p, part);
  switch (static_cast<QuantizedType>(tile.t.type)) {
    case QuantizedType::q8_0: typed_tile<QuantizedType::q8_0>(tile, scratch); break;
    case QuantizedType::q4_0: typed_tile<QuantizedType::q4_0>(tile, scratch); break;
    case QuantizedType::q4_1: typed_tile<QuantizedType::q4_1>(tile, scratch); break;
    case QuantizedType::q5_0: typed_tile<QuantizedType::q5_0>(tile, scratch); break;
    case QuantizedType::q5_1: typed_tile<QuantizedType::q5_1>(tile, scratch); break;
    case QuantizedType::q2_k: typed_tile<QuantizedType::q2_k>(tile, scratch); break;
    case QuantizedType::q3_k: typed_tile<QuantizedType::q3_k>(tile, scratch); break;
    case QuantizedType::q4_k: typed_tile<QuantizedType::q4_k>(tile, scratch); break;
    case QuantizedType::q5_k: typed_tile<QuantizedType::q5_k>(tile, scratch); break;
    case QuantizedType::q6_k: typed_tile<QuantizedType::q6_k>(tile, scratch); break;
    case QuantizedType::iq4_nl: typed_tile<QuantizedType::iq4_nl>(tile, scratch); break;
    case QuantizedType::iq4_xs: typed_tile<QuantizedType::iq4_xs>(tile, scratch); break;
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
