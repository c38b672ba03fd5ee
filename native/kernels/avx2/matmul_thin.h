// matmul where m or n is small: the wide operand is read once, in place. Called by matmul for the thin path.
#pragma once

#include "core/op.h"
#include "kernels/matmul.h"

namespace tesserae::matmul {

void thin_tile_avx2(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch);
void thin_tile_avx512(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch);

}  // namespace tesserae::matmul
