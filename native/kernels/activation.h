// activation: y = f(x), element by element, for the activation functions of transformers. matmul's epilogue uses the
// same numbering of functions. Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

// The numbers are shared with src/ops/rowwise/elementwise.ts.
enum class Activation : int64_t {
  none = 0,       // x
  relu = 1,       // x < 0 ? 0 : x
  silu = 2,       // x / (1 + exp(-x))
  gelu = 3,       // x · Phi(x), Phi the distribution function of the normal distribution
  gelu_tanh = 4,  // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  sigmoid = 5,    // 1 / (1 + exp(-x))
  tanh = 6,
  exp = 7,
};

struct ActivationParams {
  Pointer<const float> x;
  Pointer<float> y;      // may be x
  int64_t kind;  // an Activation
  int64_t columns;
  int64_t tile_rows;  // rows per tile
  OuterShape outer;
  OuterStrides x_outer;
  OuterStrides y_outer;
};

KernelStatus activation_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
