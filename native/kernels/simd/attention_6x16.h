// The micro-kernels of attention with eight lanes, in the form that attention_rows.h expects (Micro).
#pragma once

#include "kernels/simd/attention_micro.h"
#include "kernels/simd/attention_softmax.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

struct Micro6x16 {
  static constexpr int64_t kRows = kMicroRows;
  static constexpr int64_t kPanels = 1;
  static constexpr bool kKeepsMaxima = false;

  static void scores(int64_t rows, int64_t, int64_t dim, const float* q, const float* const* k_panels, float* scores,
                     float*) {
    static constexpr decltype(&scores_6x16<1>) kKernels[] = {
        nullptr,         scores_6x16<1>, scores_6x16<2>, scores_6x16<3>,
        scores_6x16<4>, scores_6x16<5>, scores_6x16<6>};
    static_assert(sizeof(kKernels) / sizeof(kKernels[0]) == kRows + 1, "a kernel for each number of rows");
    kKernels[rows](dim, q, k_panels[0], scores);
  }

  static void outputs(const Strip& strip, int64_t row, int64_t rows, int64_t panel, int64_t) {
    static constexpr decltype(&outputs_6x16<1, 2>) kKernels[] = {
        nullptr,            outputs_6x16<1, 2>, outputs_6x16<2, 2>, outputs_6x16<3, 2>,
        outputs_6x16<4, 2>, outputs_6x16<5, 2>, outputs_6x16<6, 2>};
    kKernels[rows](strip, row, panel);
  }

  static void begin_maxima(int64_t, float*) {}
  static float kept_maximum(const float*) { return 0; }  // never called, since kKeepsMaxima is false
  static bool weigh(Strip&, int64_t) { return false; }

  static void multiply(const float* from, int64_t count, float factor, float* to) {
    const F32x8 factors = f32x8(factor);
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) store_f32x8(to + i, mul(load_f32x8(from + i), factors));
    for (; i < count; ++i) to[i] = from[i] * factor;
  }

  template <bool masked>
  static float row_maximum(float* scores, int64_t keys, int64_t padded, const float* mask) {
    return attention::row_maximum<masked>(scores, keys, padded, mask);
  }
  static float row_weights(float* scores, int64_t keys, float maximum) {
    return attention::row_weights(scores, keys, maximum);
  }

  template <typename T>
  static void pack_k(const T* k, int64_t stride, int64_t keys, int64_t dim, float* packed) {
    attention::pack_k(k, stride, keys, dim, packed);
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
