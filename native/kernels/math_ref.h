// Scalar activation functions in double precision. Included by the reference kernels, and by tests, which state error
// bounds against them.
#pragma once

#include <cmath>

#include "kernels/activation.h"

namespace tesserae {

static inline double sigmoid_ref(double x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}

// x · share. Below -1e4 the product is far below the smallest float, and at -infinity it would be NaN: both give -0,
// the limit.
static inline double gate_ref(double x, double share) { return x < -1e4 ? -0.0 : x * share; }

static inline double silu_ref(double x) { return gate_ref(x, sigmoid_ref(x)); }
static inline double gelu_ref(double x) { return gate_ref(x, 0.5 * std::erfc(-x * 0.70710678118654752440)); }
static inline double gelu_tanh_ref(double x) {
  return gate_ref(x, sigmoid_ref(2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

static inline double activate_ref(Activation kind, double x) {
  switch (kind) {
    case Activation::none: return x;
    case Activation::relu: return x < 0 ? 0 : x;
    case Activation::silu: return silu_ref(x);
    case Activation::gelu: return gelu_ref(x);
    case Activation::gelu_tanh: return gelu_tanh_ref(x);
    case Activation::sigmoid: return sigmoid_ref(x);
    case Activation::tanh: return std::tanh(x);
    case Activation::exp: return std::exp(x);
  }
  return x;
}

}  // namespace tesserae
