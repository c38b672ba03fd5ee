// The thin path of matmul, for small m or n: the wide operand is read once, in place. Called by matmul.cpp.
#pragma once

#include "core/op.h"
#include "kernels/matmul.h"

namespace tesserae::matmul {

inline namespace TESSERAE_ISA {

void compute_thin_tile(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch);

}  // namespace TESSERAE_ISA

}  // namespace tesserae::matmul
