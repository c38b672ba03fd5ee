// pack_b: writes a matrix B (k × n, any strides, f32, f16 or bf16) as panels of the same type, in the order in which
// matmul's micro-kernels read it. Used for matmul's shared_pack path, where all tiles read one packed image, and for
// weights that are packed once (engine.pack).
#pragma once

#include "core/op.h"
#include "kernels/block_sizes.h"
#include "kernels/rows.h"

namespace tesserae {

// The packed image of one k × n matrix. k is split into blocks of k_block_size(k, kc) (the last may be shorter), n into
// panels of nr = 16 columns; the last panel is padded with zeros:
//
//    k-block 0                                      k-block 1
//   ┌───────────────┬───────────────┬── … ──┬──────┬───────────────┬── …
//   │ panel 0       │ panel 1       │       │ last │ panel 0       │
//   └───────────────┴───────────────┴── … ──┴──────┴───────────────┴── …
//     a panel: kc rows of nr elements              (kc is the length of this k-block)
//       b[p+0, j..j+15]
//       b[p+1, j..j+15]
//       …
//       b[p+kc-1, j..j+15]
//
// So a panel is read sequentially, the panels of a k-block are contiguous, and k is not padded: an image has
// k · nr · ceil(n / nr) elements. It starts on a 64-byte boundary, so that each row of a panel is one cache line of f32,
// or half of one.
static constexpr int64_t panel_count(int64_t n) { return (n + kNr - 1) / kNr; }
static constexpr int64_t packed_image_elements(int64_t k, int64_t n) { return k * kNr * panel_count(n); }
// Panel `panel` of the k-block that begins at row `first_k` and is `block_k` long.
static constexpr int64_t packed_panel_offset(int64_t n, int64_t first_k, int64_t block_k, int64_t panel) {
  return (first_k * panel_count(n) + panel * block_k) * kNr;
}

// src/ops/matmul/matmul-tiles.ts chooses tile_panels (packTiles).
//
// Tile index -> (batch, k-block, group of panels), the last one changing fastest.
// tile_count = batch.rows() · k_block_count(k, kc) · ceil(panel_count(n) / tile_panels).
struct PackBParams {
  Pointer<const void> b;
  Pointer<void> packed;  // of the type of b
  int64_t k;
  int64_t n;
  int64_t b_rs;
  int64_t b_cs;
  int64_t b_dtype;  // DType: f32, f16 or bf16
  int64_t tile_panels;
  int64_t kc;  // of BlockSizes
  OuterShape batch;           // the distinct matrices only: a dimension over which B is broadcast has size 1
  OuterStrides b_batch;       // elements of b
  OuterStrides packed_batch;  // elements of packed
};

KernelStatus pack_b_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
