// Tests of activation, and so of the functions in simd/math.h: error bounds in units in the last place over the whole
// range of floats.
#include "kernels/activation.h"

#include "kernels/math_ref.h"
#include "rows_testing.h"

namespace tesserae::testing {
namespace {

const std::vector<Activation> kKinds{Activation::none,      Activation::relu,    Activation::silu, Activation::gelu,
                                     Activation::gelu_tanh, Activation::sigmoid, Activation::tanh, Activation::exp};

KernelStatus run_activation(Kernel kernel, Activation kind, Rows<float>& x, Rows<float>& y, int64_t tile_rows) {
  const ActivationParams params{x.data(),  y.data(),  static_cast<int64_t>(kind), x.columns(),
                                tile_rows, x.outer(), x.strides(),                y.strides()};
  return run_tiles(kernel, params, tiles_of(x.outer().rows(), tile_rows));
}

std::vector<float> activate(Isa isa, Activation kind, const std::vector<float>& values) {
  Rows<float> x({{1, 1, 1, 1}}, static_cast<int64_t>(values.size()), Layout::contiguous);
  std::copy(values.begin(), values.end(), x.row(0));
  REQUIRE(run_activation(kernel_named("activation", isa), kind, x, x, 1) == KernelStatus::ok);
  return x.copy_row(0);
}

// The largest allowed error at x, in units in the last place. The far tail of gelu_tanh is less accurate, because of
// the rounding of its exponent.
double bound(Isa isa, Activation kind, float x) {
  if (isa == Isa::ref) return 0.501;
  switch (kind) {
    case Activation::none:
    case Activation::relu: return 0;
    case Activation::exp: return 1.1;
    case Activation::tanh: return 1.5;
    case Activation::sigmoid: return 2.5;
    case Activation::silu: return 3.5;
    case Activation::gelu: return 6.5;
    case Activation::gelu_tanh: return x > -1 ? 4 : x > -4 ? 20 : 250;
  }
  return 0;
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Every exponent and sign with random fractions, the neighbours of each limit, and the special values.
std::vector<float> samples(int per_exponent) {
  std::vector<float> values{0.0f, -0.0f, INFINITY, -INFINITY, NAN, float_of(1), float_of(0x80000001)};
  Random random(3);
  for (uint32_t high = 0; high < 512; ++high) {
    for (int i = 0; i < per_exponent; ++i) {
      values.push_back(float_of(high << 23 | static_cast<uint32_t>(random.bits() >> 41)));
    }
  }
  const std::vector<float> limits{88.722839f, 89.0f,  103.97208f, 87.336545f, 120.0f,  // of exp
                                  0.625f,     9.01f,                                   // of tanh
                                  11.0f,      14.5f,  15.0f,      0.34657359f};
  for (float limit : limits) {
    for (float sign : {1.0f, -1.0f}) {
      float value = sign * limit;
      for (int i = 0; i < 50; ++i) value = std::nextafter(value, -INFINITY);
      for (int i = 0; i < 100; ++i) values.push_back(value = std::nextafter(value, INFINITY));
    }
  }
  for (int i = 0; i < 100000; ++i) values.push_back(random.uniform() * (i % 2 ? 110.0f : 6.0f));
  return values;
}

TEST_CASE("activation: every function over the whole range of floats") {
  const std::vector<float> values = samples(200);
  for (Isa isa : instruction_sets()) {
    for (Activation kind : kKinds) {
      CAPTURE(std::string(kernel_set(isa).isa));
      CAPTURE(static_cast<int>(kind));
      const std::vector<float> got = activate(isa, kind, values);
      int wrong = 0;
      for (size_t i = 0; i < values.size() && wrong < 5; ++i) {
        const double expected = activate_ref(kind, values[i]);
        const bool close = ulps(got[i], expected) <= bound(isa, kind, values[i]);
        const bool sign = std::isnan(expected) || std::signbit(expected) == std::signbit(got[i]);
        if (close && sign) continue;
        ++wrong;
        CAPTURE(values[i]);
        CAPTURE(got[i]);
        CAPTURE(expected);
        CHECK(close);
        CHECK(sign);
      }
    }
  }
}

TEST_CASE("activation: float64, layouts, tiles, a row alone, in place") {
  for (Activation kind : kKinds) {
    check_row_kernel({"activation",
                      [=](Kernel kernel, Rows<float>& x, Rows<float>& y, int64_t tile_rows) {
                        return run_activation(kernel, kind, x, y, tile_rows);
                      },
                      [=](const std::vector<float>& row) {
                        std::vector<double> expected;
                        for (float value : row) expected.push_back(activate_ref(kind, value));
                        return expected;
                      },
                      [](Random& random) { return 8 * random.uniform(); }},
                     {1, 7, 8, 9, 17});
  }
}

}  // namespace
}  // namespace tesserae::testing
