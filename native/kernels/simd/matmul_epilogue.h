// The epilogue of matmul: C = activation(sums + bias) + residual. It also handles the partial vector at C's right edge,
// since the micro-kernels compute whole vectors. Included by the loops of matmul and matmul_quantized.
#pragma once

#include "kernels/simd/lanes.h"
#include "kernels/simd/matmul_vector.h"
#include "kernels/matmul.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

// Writes `columns` elements of one row of C from their sums. `bias` and `residual` may be null.
using FinishRow = void (*)(const float* sums, int64_t columns, const float* bias, int64_t bias_stride,
                           const float* residual, float* c);

template <Activation kind>
void finish_row(const float* sums, int64_t columns, const float* bias, int64_t bias_stride, const float* residual,
                float* c) {
  for_columns(columns, [&](int64_t j, auto lanes) {
    Floats v = lanes.load(sums + j);
    if (bias) v = add(v, bias_stride == 0 ? splat<Floats>(*bias) : lanes.load(bias + j));
    v = activate<kind>(v);
    if (residual) v = add(v, lanes.load(residual + j));
    lanes.store(c + j, v);
  });
}

// Writes `rows` rows of C as finish_row does, from sums that are `sums_stride` apart.
using FinishRows = void (*)(const float* sums, int64_t sums_stride, int64_t rows, int64_t columns, const float* bias,
                            int64_t bias_stride, const float* residual, int64_t residual_rs, float* c, int64_t c_rs);

template <Activation kind>
void finish_rows(const float* sums, int64_t sums_stride, int64_t rows, int64_t columns, const float* bias,
                 int64_t bias_stride, const float* residual, int64_t residual_rs, float* c, int64_t c_rs) {
  constexpr int64_t kWide = 32;
  const bool is_plain = columns == kWide && bias == nullptr;
  for (int64_t r = 0; r < rows; ++r, sums += sums_stride, c += c_rs) {
    if (is_plain) {
#pragma GCC unroll 4
      for (int64_t j = 0; j < kWide; j += kFloats) {
        Floats v = activate<kind>(load_vector<Floats>(sums + j));
        if (residual) v = add(v, load_vector<Floats>(residual + j));
        store_vector(c + j, v);
      }
    } else {
      finish_row<kind>(sums, columns, bias, bias_stride, residual, c);
    }
    if (residual) residual += residual_rs;
  }
}

// The arguments of the epilogue of one matrix. Row i and column j count from the start of the matrix.
struct Epilogue {
  FinishRow finish;
  const float* bias;
  int64_t bias_stride;
  const float* residual;
  int64_t residual_rs;
  float* c;
  int64_t c_rs;
  bool is_copy;  // no bias, activation or residual: sums are only stored

  Epilogue(const MatmulParams& p, const MatmulOperands& x)
      : finish(finish_row<Activation::none>),
        bias(p.bias),
        bias_stride(p.bias_stride),
        residual(x.residual),
        residual_rs(p.residual_rs),
        c(x.c),
        c_rs(p.c_rs),
        is_copy(!p.bias && !x.residual && static_cast<Activation>(p.activation) == Activation::none) {
    with_activation(static_cast<Activation>(p.activation),
                    [&](auto kind) { finish = finish_row<decltype(kind)::value>; });
  }

  void row(const float* sums, int64_t i, int64_t j, int64_t columns) const {
    finish(sums, columns, bias ? bias + j * bias_stride : nullptr, bias_stride,
           residual ? residual + i * residual_rs + j : nullptr, c + i * c_rs + j);
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
