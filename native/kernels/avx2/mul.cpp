// mul with AVX2.
#include "kernels/mul.h"

#include "kernels/avx2/binary_rows.h"

namespace tesserae {

KernelStatus mul_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  binary_tile(op.as<MulParams>(), tile, [](__m256 a, __m256 b) { return _mm256_mul_ps(a, b); });
  return KernelStatus::ok;
}

}  // namespace tesserae
