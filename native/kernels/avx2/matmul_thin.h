// The thin path of matmul, for small m or n: the wide operand is read once, in place. Called by the matmul.cpp of the
// set.
#pragma once

#include "core/op.h"
#include "kernels/matmul.h"

namespace tesserae::matmul {

void thin_tile_avx2(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch);
void thin_tile_avx512(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch);

}  // namespace tesserae::matmul
