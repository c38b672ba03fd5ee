// Scalar reference of sample: the steps of sampler.ts (sample_exact.h).
#include "kernels/sample.h"

#include "kernels/sample_exact.h"

namespace tesserae {
namespace {

struct ExactWay {
  using Values = RowValues<ScalarSampling>;

  Best best(const Values& values, const SampleMemory& memory) const { return best_of(values, memory.buffer); }
  Choice choose(const Values& values, Best, const SampleRow& row, const SampleMemory& memory) const {
    return {choose_exact(values, row, memory), false};
  }
  double total(const Values& logits, Best likeliest, const SampleMemory& memory) const {
    return total_of(logits, likeliest.value, memory.buffer);
  }
};

}  // namespace

KernelStatus sample_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return sample_row<ExactWay>(op, tile, scratch);
}

}  // namespace tesserae
