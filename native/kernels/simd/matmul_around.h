// What a tile of matmul does around its products: it norms its rows first, and joins two products to a gated unit.
// quantized_around.h is the same for quantized weights. Included by matmul.cpp.
#pragma once

#include "kernels/matmul.h"
#include "kernels/simd/rms_norm_row.h"
#include "kernels/simd/silu_mul_row.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Norms the rows of a tile into `normed`.
inline void norm_rows(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* normed) {
  for (int64_t row = tile.first_row; row < tile.last_row; ++row) {
    rms_norm_row(x.a + row * p.a_rs, normed + (row - tile.first_row) * p.k, p.norm.weight, p.norm.eps, p.k);
  }
}

// Computes the unit of both products in C.
inline void join_gated(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile) {
  for (int64_t row = tile.first_row; row < tile.last_row; ++row) {
    const int64_t at = row * p.c_rs + tile.first_column;
    gated_row(static_cast<Activation>(p.activation), p.gated.c + at, x.c + at, tile.last_column - tile.first_column);
  }
}

// Calls `run` with the parameters and the operands of each product of the tile.
template <typename Run>
void with_around(const MatmulParams& recorded, const MatmulOperands& given, const MatmulTile& tile, float* scratch,
                 const Run& run) {
  const auto products = [&](const MatmulParams& p, const MatmulOperands& x) {
    run(p, x);
    if (p.gated.packed_b == nullptr) return;
    MatmulOperands second = x;
    second.packed_b = p.gated.packed_b;
    second.c = p.gated.c;
    MatmulParams plain = p;
    plain.activation = static_cast<int64_t>(Activation::none);
    run(plain, second);
    join_gated(p, x, tile);
  };
  if (recorded.norm.is_on == 0) {
    products(recorded, given);
    return;
  }
  float* normed = scratch + recorded.blocks.kc * recorded.blocks.nc + partial_floats(recorded.blocks);
  norm_rows(recorded, given, tile, normed);
  MatmulParams p = recorded;
  p.a_rs = p.k;
  MatmulOperands x = given;
  x.a = normed - tile.first_row * p.k;
  products(p, x);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
