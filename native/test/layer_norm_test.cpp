// Tests of layer_norm: against float64, with and without weight and bias, and with a mean far from zero.
#include "kernels/layer_norm.h"

#include "rows_testing.h"

namespace tesserae::testing {
namespace {

std::vector<float> around_one(int64_t columns, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(columns));
  for (float& value : values) value = 1 + random.uniform();
  return values;
}

struct LayerNormCase {
  bool has_weight;
  bool has_bias;
  float offset;
  double tolerance;
};

void check_layer_norm(const LayerNormCase& c, const std::vector<int64_t>& lengths) {
  const double eps = 1e-5;
  check_row_kernel(
      {"layer_norm",
       [=](Kernel kernel, Rows<float>& x, Rows<float>& y, int64_t tile_rows) {
         const std::vector<float> weight = around_one(x.columns(), 1);
         const std::vector<float> bias = around_one(x.columns(), 2);
         const LayerNormParams params{x.data(), y.data(), c.has_weight ? weight.data() : nullptr,
                                      c.has_bias ? bias.data() : nullptr, eps, x.columns(), tile_rows,
                                      x.outer(), x.strides(), y.strides()};
         return run_tiles(kernel, params, tiles_of(x.outer().rows(), tile_rows));
       },
       [=](const std::vector<float>& row) {
         const auto columns = static_cast<int64_t>(row.size());
         const std::vector<float> weight = around_one(columns, 1);
         const std::vector<float> bias = around_one(columns, 2);
         double mean = 0;
         for (float value : row) mean += value / static_cast<double>(columns);
         double variance = 0;
         for (float value : row) variance += (value - mean) * (value - mean) / static_cast<double>(columns);
         std::vector<double> expected;
         for (size_t i = 0; i < row.size(); ++i) {
           expected.push_back((row[i] - mean) / std::sqrt(variance + eps) * (c.has_weight ? weight[i] : 1.0) +
                              (c.has_bias ? bias[i] : 0.0));
         }
         return expected;
       },
       [=](Random& random) { return c.offset + random.uniform(); }, c.tolerance},
      lengths);
}

TEST_CASE("layer_norm: float64, layouts, tiles, a row alone, in place") {
  check_layer_norm({true, true, 0, 1e-12}, row_lengths());
  check_layer_norm({false, false, 0.25f, 1e-11}, row_lengths());
  check_layer_norm({true, false, 0, 1e-12}, {33});
  check_layer_norm({false, true, 0, 1e-12}, {33});
}

TEST_CASE("layer_norm: a row with a mean far from zero keeps its precision") {
  check_layer_norm({false, false, 4096, 1e-11}, {64, 4099});
}

TEST_CASE("layer_norm: exact where arithmetic is, constant rows, NaN and infinity") {
  for (Isa isa : instruction_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    Rows<float> x({{1, 1, 1, 4}}, 34, Layout::gapped);
    x.fill([sign = 1.0f]() mutable { return 3 + 4 * (sign = -sign); });  // mean 3, deviation 4
    std::fill_n(x.row(1), 34, 5.0f);
    x.row(2)[33] = NAN;
    x.row(3)[0] = INFINITY;
    Rows<float> y(x.outer(), 34, Layout::permuted);
    LayerNormParams params{x.data(), y.data(), nullptr, nullptr, 0.0, 34, 1, x.outer(), x.strides(), y.strides()};
    REQUIRE(run_tiles(kernel_named("layer_norm", isa), params, 4) == KernelStatus::ok);
    for (int64_t column = 0; column < 34; ++column) {
      CHECK(y.row(0)[column] == (x.row(0)[column] - 3) / 4);
      CHECK(std::isnan(y.row(2)[column]));
      CHECK(std::isnan(y.row(3)[column]));
    }
    params.eps = 1e-5;
    REQUIRE(run_tiles(kernel_named("layer_norm", isa), params, 4) == KernelStatus::ok);
    for (float value : y.copy_row(1)) CHECK(value == 0);
  }
}

}  // namespace
}  // namespace tesserae::testing
