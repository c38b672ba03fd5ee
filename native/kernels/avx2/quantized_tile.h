// One tile of matmul_quantized: blocked loops over panels for many rows, one pass over the image for few rows. The
// same for every vector instruction set, except for multiply_panel_rows and dot_strip_group (quantized_panel_rows.h
// and quantized_group.h of the set), which must be included before this file.
#pragma once

#include <algorithm>

#include "kernels/avx2/matmul_epilogue.h"
#include "kernels/avx2/quantized_few.h"
#include "kernels/avx2/quantized_panel.h"
#include "kernels/matmul_quantized.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

struct Tile {
  const MatmulQuantizedParams& p;
  const QuantizedTarget& t;
  int64_t first_row, rows, first_column, columns;
  matmul::FinishRow finish = matmul::finish_row<Activation::none>;

  Tile(const MatmulQuantizedParams& params, const QuantizedTile& tile)
      : p(params),
        t(*tile.target),
        first_row(tile.first_row),
        rows(tile.last_row - tile.first_row),
        first_column(tile.first_column),
        columns(tile.last_column - tile.first_column) {
    with_activation(static_cast<Activation>(t.activation),
                            [&](auto kind) { finish = matmul::finish_row<decltype(kind)::value>; });
  }

  int64_t x_stride() const { return p.k / kActivationBlock; }
  const ActivationBlock* x() const { return p.x + first_row * x_stride(); }

  // Writes `count` elements from their sums: in row `row` of the tile, from column `column` of the matrix on.
  void write(const float* sums, int64_t row, int64_t column, int64_t count) const {
    const int64_t i = first_row + row;
    finish(sums, count, t.bias ? t.bias + column * t.bias_stride : nullptr, t.bias_stride,
           t.residual ? t.residual + i * t.residual_rs + column : nullptr, t.c + i * t.c_rs + column);
  }
};

// The loops for many rows. Only the tiles of an op run in parallel; these run on one worker. Each panel is decoded
// once and used for all rows of the tile, whose sums are kept in scratch. decode(panel, first_row, first_k, panel_k)
// fills a panel.
template <typename K, typename Decode>
void panel_tile(const Tile& tile, Scratch& scratch, Decode decode) {
  auto& panel = *reinterpret_cast<Panel*>(scratch.data);
  auto* sums = reinterpret_cast<float*>(scratch.data + sizeof(Panel));
  // LOOP 3: split the rows of weights (columns of C) into panels of kPanelRows.
  for (int64_t j = 0; j < tile.columns; j += kPanelRows) {
    std::fill_n(sums, tile.rows * kPanelRows, 0.0f);
    // LOOP 2: split k into blocks of kPanelK. Cannot run in parallel: each block continues the sums of the one before.
    // LOOP 1, over the rows of activations, is in multiply_panel_rows.
    for (int64_t first_k = 0; first_k < tile.p.k; first_k += kPanelK<K>) {
      const int64_t panel_k = std::min(tile.p.k - first_k, kPanelK<K>);
      decode(panel, tile.first_column + j, first_k, panel_k);
      multiply_panel_rows<K>(panel, panel_k, tile.x() + first_k / kActivationBlock, tile.x_stride(), tile.rows, sums);
    }
    const int64_t count = std::min(tile.columns - j, kPanelRows);
    for (int64_t r = 0; r < tile.rows; ++r) tile.write(sums + r * kPanelRows, r, tile.first_column + j, count);
  }
}

template <QuantizedType type>
void typed_tile(const Tile& tile, Scratch& scratch) {
  using U = Unit<type>;
  const int64_t k = tile.p.k;
  const int64_t strip_size = k / U::format.block_elements * U::layout.unit_bytes;
  if (tile.rows <= kFewRows) {
    prefetch_start(tile.t.image + tile.first_column / kStripRows * strip_size);
    // The only loop for few rows: split the rows of weights into strips.
    for (int64_t j = 0; j < tile.columns; j += kStripRows) {
      const unsigned char* strip = tile.t.image + (tile.first_column + j) / kStripRows * strip_size;
      alignas(32) float sums[kFewRows * kStripRows];
      multiply_strip_rows<type>(strip, k, tile.x(), tile.x_stride(), tile.rows, sums);
      const int64_t count = std::min(tile.columns - j, kStripRows);
      for (int64_t r = 0; r < tile.rows; ++r) tile.write(sums + r * kStripRows, r, tile.first_column + j, count);
    }
    return;
  }
  panel_tile<typename U::K>(tile, scratch, [&](Panel& panel, int64_t row, int64_t first_k, int64_t panel_k) {
    const unsigned char* first =
        tile.t.image + row / kStripRows * strip_size + first_k / U::format.block_elements * U::layout.unit_bytes;
    for (int strip = 0; strip < kPanelStrips; ++strip) {
      const bool exists = row + strip * kStripRows < tile.t.n;
      decode_strip<type>(exists ? first + strip * strip_size : nullptr, panel_k / U::format.block_elements, strip, panel);
    }
  });
}

inline void run_quantized_tile(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& p = op.as<MatmulQuantizedParams>();
  const Tile tile(p, quantized_tile(p, tile_index));
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
