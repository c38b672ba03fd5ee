// A matmul problem with operands of any layout, which runs the kernels tile by tile. Included by the matmul tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/half.h"
#include "kernels/matmul.h"
#include "kernels/pack_b.h"
#include "kernel_sets.h"
#include "scratch.h"

namespace tesserae::test {

enum class Layout { rows, columns, strided };   // of A and B: row-major, transposed, no unit stride
enum class Residual { none, separate, in_place };
enum class Values { random, small_integers };

struct MatmulCase {
  int64_t m, n, k;
  MatmulPath path = MatmulPath::local_pack;
  int64_t tile_m = 0, tile_n = 0;  // 0: the whole size
  Layout a = Layout::rows, b = Layout::rows;
  DType b_dtype = DType::f32;
  bool has_bias = false;
  Activation activation = Activation::none;
  Residual residual = Residual::none;
  int64_t outer = 1, inner = 1;  // batch sizes; B is broadcast over the outer one
  int64_t tile_batches = 1;
  int64_t tile_panels = 3;
  BlockSizes blocks = kDefaultBlockSizes;
  Values values = Values::random;
};

inline std::string describe(const MatmulCase& c) {
  const auto number = [](auto x) { return std::to_string(static_cast<int64_t>(x)); };
  return number(c.m) + "x" + number(c.n) + "x" + number(c.k) + " path " + number(c.path) + " tile " +
         number(c.tile_m) + "x" + number(c.tile_n) + " a " + number(c.a) + " b " + number(c.b) +
         " b_dtype " + number(c.b_dtype) + (c.has_bias ? " bias" : "") + " activation " + number(c.activation) +
         " residual " + number(c.residual) + " batch " + number(c.outer) + "x" + number(c.inner) +
         " blocks " + number(c.blocks.kc) + "x" + number(c.blocks.nc) + "x" + number(c.blocks.mc);
}

constexpr float kGuard = -77.25f;

class MatmulProblem {
 public:
  explicit MatmulProblem(const MatmulCase& the_case) : c_(the_case), random_(1234567) {
    place(c_.a, c_.m, c_.k, a_rs_, a_cs_, a_size_);
    place(c_.b, c_.k, c_.n, b_rs_, b_cs_, b_size_);
    a_.resize(static_cast<size_t>(kOffset + a_size_ * c_.outer * c_.inner));
    for (float& x : a_) x = value();
    b_.resize(static_cast<size_t>(kOffset + b_size_ * c_.inner));
    b_half_.resize(b_.size());
    for (size_t i = 0; i < b_.size(); ++i) {
      b_[i] = value();
      if (c_.b_dtype == DType::f32) continue;
      b_half_[i] = c_.b_dtype == DType::f16 ? half() : float_to_bfloat(b_[i]);
      b_[i] = element_as_float(b_half_.data(), c_.b_dtype, static_cast<int64_t>(i));
    }
    bias_.resize(static_cast<size_t>(c_.n));
    for (float& x : bias_) x = value();
    residual_.resize(static_cast<size_t>(c_size() * c_.outer * c_.inner + kOffset));
    for (float& x : residual_) x = value();
  }

  int64_t c_rs() const { return c_.n + 5; }
  int64_t c_size() const { return c_.m * c_rs() + 7; }

  // Runs all tiles with the kernels of an instruction set; returns C with its guard cells.
  std::vector<float> run(Isa isa) { return run(isa, c_.tile_m, c_.tile_n); }
  std::vector<float> run(Isa isa, int64_t tile_m, int64_t tile_n) {
    std::vector<float> out(residual_.size(), kGuard);
    each_element([&](int64_t at, int64_t, int64_t, int64_t) {
      out[static_cast<size_t>(at)] = c_.residual == Residual::in_place ? residual_[static_cast<size_t>(at)] : NAN;
    });
    Scratch scratch = fresh_scratch();

    std::vector<unsigned char> images;
    OpRecord op = {};
    auto& p = *reinterpret_cast<MatmulParams*>(op.params);
    p.a = a_.data() + kOffset;
    p.b = b_data();
    p.c = out.data() + kOffset;
    p.bias = c_.has_bias ? bias_.data() : nullptr;
    p.residual = c_.residual == Residual::none ? nullptr
                 : c_.residual == Residual::in_place ? out.data() + kOffset
                                                     : residual_.data() + kOffset;
    p.m = c_.m, p.n = c_.n, p.k = c_.k;
    p.a_rs = a_rs_, p.a_cs = a_cs_, p.b_rs = b_rs_, p.b_cs = b_cs_;
    p.c_rs = c_rs(), p.residual_rs = c_rs(), p.bias_stride = 1;
    p.b_dtype = static_cast<int64_t>(c_.b_dtype);
    p.path = static_cast<int64_t>(c_.path);
    p.activation = static_cast<int64_t>(c_.activation);
    p.tile_m = tile_m > 0 ? tile_m : c_.m;
    p.tile_n = tile_n > 0 ? tile_n : c_.n;
    p.tile_batches = c_.tile_batches;
    p.blocks = c_.blocks;
    p.batch = {{1, 1, c_.outer, c_.inner}};
    p.a_batch = {{0, 0, a_size_ * c_.inner, a_size_}};
    p.b_batch = {{0, 0, 0, b_size_}};
    p.packed_batch = {{0, 0, 0, packed_image_elements(c_.k, c_.n)}};
    p.c_batch = {{0, 0, c_size() * c_.inner, c_size()}};
    p.residual_batch = p.c_batch;
    if (c_.path == MatmulPath::shared_pack) {
      images = packed(isa, c_.tile_panels);
      p.packed_b = images.data();
      p.b = nullptr;
    }
    const Kernel kernel = kernel_named("matmul", isa);
    const int64_t tiles =
        ceil_div(c_.outer * c_.inner, p.tile_batches) * ceil_div(c_.m, p.tile_m) * ceil_div(c_.n, p.tile_n);
    for (int64_t tile = tiles - 1; tile >= 0; --tile) kernel(op, tile, scratch);
    return out;
  }

  // The result in double precision.
  std::vector<double> oracle() const {
    std::vector<double> out(residual_.size(), kGuard);
    each_element([&](int64_t at, int64_t batch, int64_t i, int64_t j) {
      double sum = 0;
      const float* a = a_.data() + kOffset + batch * a_size_ + i * a_rs_;
      const float* b = b_.data() + kOffset + batch % c_.inner * b_size_ + j * b_cs_;
      for (int64_t q = 0; q < c_.k; ++q) sum += static_cast<double>(a[q * a_cs_]) * static_cast<double>(b[q * b_rs_]);
      if (c_.has_bias) sum += static_cast<double>(bias_[static_cast<size_t>(j)]);
      sum = activate(sum);
      if (c_.residual != Residual::none) sum += static_cast<double>(residual_[static_cast<size_t>(at)]);
      out[static_cast<size_t>(at)] = sum;
    });
    return out;
  }

  // The packed images of B, in its type.
  std::vector<unsigned char> packed(Isa isa, int64_t tile_panels) const {
    const int64_t elements = packed_image_elements(c_.k, c_.n) * c_.inner;
    std::vector<unsigned char> images(static_cast<size_t>(elements * dtype_bytes(c_.b_dtype)), 0xff);  // NaN
    OpRecord op = {};
    auto& p = *reinterpret_cast<PackBParams*>(op.params);
    p.b = b_data();
    p.packed = images.data();
    p.k = c_.k, p.n = c_.n, p.b_rs = b_rs_, p.b_cs = b_cs_;
    p.b_dtype = static_cast<int64_t>(c_.b_dtype);
    p.tile_panels = tile_panels;
    p.kc = c_.blocks.kc;
    p.batch = {{1, 1, 1, c_.inner}};
    p.b_batch = {{0, 0, 0, b_size_}};
    p.packed_batch = {{0, 0, 0, packed_image_elements(c_.k, c_.n)}};
    Scratch none = {nullptr, 0};
    const Kernel kernel = kernel_named("pack_b", isa);
    const int64_t tiles = c_.inner * k_block_count(c_.k, c_.blocks.kc) * ceil_div(panel_count(c_.n), tile_panels);
    for (int64_t tile = 0; tile < tiles; ++tile) kernel(op, tile, none);
    return images;
  }

  std::vector<float>& a() { return a_; }
  std::vector<float>& b() { return b_; }
  std::vector<float>& bias() { return bias_; }
  static constexpr int64_t kOffset = 3;  // elements; no operand is aligned to a vector

 private:
  static int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

  static void place(Layout layout, int64_t rows, int64_t columns, int64_t& rs, int64_t& cs, int64_t& size) {
    switch (layout) {
      case Layout::rows: rs = columns + 3, cs = 1, size = rows * rs; break;
      case Layout::columns: rs = 1, cs = rows + 3, size = columns * cs; break;
      case Layout::strided: rs = columns * 2 + 1, cs = 2, size = rows * rs; break;
    }
  }

  float value() {
    if (c_.values == Values::small_integers) return static_cast<float>(static_cast<int64_t>(random_() % 9) - 4);
    return std::uniform_real_distribution<float>(-1.0f, 1.0f)(random_);
  }

  uint16_t half() {
    const uint32_t bits = static_cast<uint32_t>(random_());
    if (c_.values == Values::small_integers) {
      return bits % 3 == 0 ? 0x3c00 : bits % 3 == 1 ? 0xc000 : 0x4200;  // 1, -2, 3
    }
    const uint32_t exponent = bits % 31 == 0 ? 0 : 10 + bits / 64 % 6;  // some subnormal
    return static_cast<uint16_t>((bits >> 31) << 15 | exponent << 10 | (bits >> 12 & 0x3ff));
  }

  double activate(double x) const {
    switch (c_.activation) {
      case Activation::none: return x;
      case Activation::relu: return x < 0 ? 0 : x;
      case Activation::silu: return x / (1 + std::exp(-x));
      case Activation::gelu: return 0.5 * x * std::erfc(-x * std::sqrt(0.5));
      case Activation::gelu_tanh: return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
      case Activation::sigmoid: return 1 / (1 + std::exp(-x));
      case Activation::tanh: return std::tanh(x);
      case Activation::exp: return std::exp(x);
    }
    return x;
  }

  template <typename Visit>
  void each_element(Visit visit) const {
    for (int64_t batch = 0; batch < c_.outer * c_.inner; ++batch) {
      for (int64_t i = 0; i < c_.m; ++i) {
        for (int64_t j = 0; j < c_.n; ++j) visit(kOffset + batch * c_size() + i * c_rs() + j, batch, i, j);
      }
    }
  }

  const void* b_data() const {
    return c_.b_dtype == DType::f32 ? static_cast<const void*>(b_.data() + kOffset) : b_half_.data() + kOffset;
  }

  MatmulCase c_;
  std::mt19937 random_;
  int64_t a_rs_ = 0, a_cs_ = 0, a_size_ = 0, b_rs_ = 0, b_cs_ = 0, b_size_ = 0;
  std::vector<float> a_, b_, bias_, residual_;
  std::vector<uint16_t> b_half_;
};

template <typename T>
bool same_bits(const std::vector<T>& x, const std::vector<T>& y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

// Mean squared error divided by mean square. Guard cells are included: if one was changed the error is infinite.
inline double normalised_error(const std::vector<float>& got, const std::vector<double>& expected) {
  double error = 0, square = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = static_cast<double>(got[i]) - expected[i];
    if (expected[i] == static_cast<double>(kGuard)) {
      if (difference != 0) return INFINITY;
      continue;
    }
    error += difference * difference;
    square += expected[i] * expected[i];
  }
  return square > 0 ? error / square : error;
}

}  // namespace tesserae::test
