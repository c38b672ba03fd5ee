// Scalar reference of sample: each step as sampler.ts has it, in the memory that there is.
#include "kernels/sample.h"

#include "kernels/sample_exact.h"

namespace tesserae {
namespace {

struct ExactWay {
  Best best(const RowValues& values, const SampleMemory& memory) const { return best_of(values, memory.buffer); }
  int32_t choose(const RowValues& values, Best, const SampleRow& row, const SampleMemory& memory) const {
    return choose_exact(values, row, memory);
  }
  void report(const RowValues& logits, float highest, const SampleMemory& memory, int64_t alternatives,
              SampleResult& result) const {
    report_exact(logits, highest, memory, alternatives, result);
  }
};

}  // namespace

KernelStatus sample_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  return sample_row(op, tile, scratch, ExactWay{});
}

}  // namespace tesserae
