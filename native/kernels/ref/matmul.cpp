// Scalar reference of matmul, the oracle of its tests: the summation rule of matmul.h, written down directly.
#include "kernels/matmul.h"

#include <algorithm>
#include <cmath>

#include "kernels/half.h"
#include "kernels/math_ref.h"
#include "kernels/ref/rms_norm_row.h"

namespace tesserae {
namespace {

float element_of_b(const MatmulParams& p, const MatmulOperands& x, int64_t row, int64_t column) {
  const auto dtype = static_cast<DType>(p.b_dtype);
  if (static_cast<MatmulPath>(p.path) == MatmulPath::shared_pack) {
    const int64_t first_k = row / k_block_size(p.k, p.blocks.kc) * k_block_size(p.k, p.blocks.kc);
    const int64_t block_k = std::min(k_block_size(p.k, p.blocks.kc), p.k - first_k);
    const int64_t panel = packed_panel_offset(p.n, first_k, block_k, column / kNr);
    return element_as_float(x.packed_b, dtype, panel + (row - first_k) * kNr + column % kNr);
  }
  return element_as_float(x.b, dtype, row * p.b_rs + column * p.b_cs);
}

float activate(Activation kind, float x) {
  constexpr float kSqrtHalf = 0.70710678f;
  constexpr float kSqrt2OverPi = 0.79788456f;
  switch (kind) {
    case Activation::none: return x;
    case Activation::relu: return x < 0.0f ? 0.0f : x;
    case Activation::silu: return x / (1.0f + std::exp(-x));
    case Activation::gelu: return 0.5f * x * (1.0f + std::erf(x * kSqrtHalf));
    case Activation::gelu_tanh: return 0.5f * x * (1.0f + std::tanh(kSqrt2OverPi * (x + 0.044715f * x * x * x)));
    case Activation::sigmoid: return 1.0f / (1.0f + std::exp(-x));
    case Activation::tanh: return std::tanh(x);
    case Activation::exp: return std::exp(x);
  }
  return x;
}

void multiply(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile) {
  for (int64_t i = tile.first_row; i < tile.last_row; ++i) {
    for (int64_t j = tile.first_column; j < tile.last_column; ++j) {
      float sum = 0.0f;
      for (int64_t q = 0; q < p.k; ++q) {
        sum = std::fma(x.a[i * p.a_rs + q * p.a_cs], element_of_b(p, x, q, j), sum);
      }
      if (p.bias) sum += p.bias[j * p.bias_stride];
      sum = activate(static_cast<Activation>(p.activation), sum);
      if (x.residual) sum += x.residual[i * p.residual_rs + j];
      x.c[i * p.c_rs + j] = sum;
    }
  }
}

// The product with the second matrix, and the unit of both.
void join_gated(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile) {
  MatmulOperands second = x;
  second.packed_b = p.gated.packed_b;
  second.c = p.gated.c;
  const bool is_activated = static_cast<Activation>(p.activation) != Activation::none;
  MatmulParams plain = p;
  plain.activation = static_cast<int64_t>(Activation::none);
  multiply(plain, second, tile);
  for (int64_t i = tile.first_row; i < tile.last_row; ++i) {
    for (int64_t j = tile.first_column; j < tile.last_column; ++j) {
      float& y = x.c[i * p.c_rs + j];
      y = (is_activated ? y : static_cast<float>(silu_ref(y))) * second.c[i * p.c_rs + j];
    }
  }
}

}  // namespace

KernelStatus matmul_ref(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& recorded = op.as<MatmulParams>();
  const MatmulTile tile = matmul_tile(recorded, tile_index);
  for (int64_t batch = tile.first_batch; batch < tile.last_batch; ++batch) {
    MatmulParams p = recorded;
    MatmulOperands x = matmul_operands(p, batch);
    if (p.norm.is_on) {
      auto* normed = reinterpret_cast<float*>(scratch.data);
      for (int64_t i = tile.first_row; i < tile.last_row; ++i) {
        float* y = normed + (i - tile.first_row) * p.k;
        rms_norm_row_ref(x.a + i * p.a_rs, y, p.norm.weight, p.norm.eps, p.k);
      }
      x.a = normed - tile.first_row * p.k;
      p.a_rs = p.k;
    }
    multiply(p, x, tile);
    if (p.gated.packed_b) join_gated(p, x, tile);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
