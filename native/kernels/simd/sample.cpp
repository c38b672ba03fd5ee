// sample for the vector sets: sample_fast.h with these vectors.
#include "kernels/simd/sample_lanes.h"

#include "kernels/simd/sample_fast.h"

namespace tesserae {

inline namespace TESSERAE_ISA {

KernelStatus sample_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return sample_row<FastWay>(op, tile, scratch);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
