// sample with AVX2: sample_fast.h with these vectors.
#include "kernels/avx2/sample_lanes.h"

#include "kernels/avx2/sample_fast.h"

namespace tesserae {

KernelStatus sample_avx2(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return sample_row<FastWay>(op, tile, scratch);
}

}  // namespace tesserae
