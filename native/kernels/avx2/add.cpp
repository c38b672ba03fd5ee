// add with AVX2.
#include "kernels/add.h"

#include "kernels/avx2/binary_rows.h"

namespace tesserae {

KernelStatus add_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  binary_tile(op.as<AddParams>(), tile, [](__m256 a, __m256 b) { return _mm256_add_ps(a, b); });
  return KernelStatus::ok;
}

}  // namespace tesserae
