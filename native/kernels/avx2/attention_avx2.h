// The micro-kernels of attention with AVX2, as attention_rows.h takes them.
#pragma once

#include "kernels/avx2/attention_micro.h"
#include "kernels/avx2/attention_softmax.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

struct MicroAvx2 {
  static constexpr int64_t kRows = kMicroRows;
  static constexpr int64_t kPanels = 1;

  static void scores(int64_t rows, int64_t, int64_t dim, const float* q, const float* const* k_panels, float* scores) {
    static constexpr decltype(&scores_avx2<1>) kKernels[] = {
        nullptr,         scores_avx2<1>, scores_avx2<2>, scores_avx2<3>,
        scores_avx2<4>, scores_avx2<5>, scores_avx2<6>};
    static_assert(sizeof(kKernels) / sizeof(kKernels[0]) == kRows + 1, "a kernel for each number of rows");
    kKernels[rows](dim, q, k_panels[0], scores);
  }

  static void outputs(int64_t rows, int64_t, const int32_t* keys, const float* weights, const float* v,
                      const float* keep, const float* take, float* total, int64_t total_stride) {
    static constexpr decltype(&outputs_avx2<1, 2>) kKernels[] = {
        nullptr,            outputs_avx2<1, 2>, outputs_avx2<2, 2>, outputs_avx2<3, 2>,
        outputs_avx2<4, 2>, outputs_avx2<5, 2>, outputs_avx2<6, 2>};
    kKernels[rows](keys, weights, v, kPanel, keep, take, total, total_stride);
  }

  template <bool masked>
  static void softmax_row(float* scores, int64_t keys, const float* mask, float* block_max, float* block_sum) {
    attention::softmax_row<masked>(scores, keys, mask, block_max, block_sum);
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
