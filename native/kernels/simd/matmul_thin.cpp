// The thin path of matmul for the vector sets: an instance of matmul_thin_loops.h.
#include "kernels/simd/matmul_thin.h"

#include "kernels/simd/matmul_thin_loops.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

void compute_thin_tile(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const auto dtype = static_cast<DType>(p.b_dtype);
  if (dtype == DType::f16) thin_tile_of<Half>(p, x, tile, scratch);
  else if (dtype == DType::bf16) thin_tile_of<Bfloat>(p, x, tile, scratch);
  else thin_tile_of<float>(p, x, tile, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
