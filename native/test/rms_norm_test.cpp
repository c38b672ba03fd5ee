// Tests of rms_norm: against float64, with and without a weight.
#include "kernels/rms_norm.h"

#include "rows_testing.h"

namespace tesserae::testing {
namespace {

std::vector<float> weights(int64_t columns) {
  Random random(7);
  std::vector<float> values(static_cast<size_t>(columns));
  for (float& value : values) value = 1 + random.uniform();
  return values;
}

void check_rms_norm(bool has_weight, double eps, float scale) {
  check_row_kernel({"rms_norm",
                    [=](Kernel kernel, Rows<float>& x, Rows<float>& y, int64_t tile_rows) {
                      const std::vector<float> weight = weights(x.columns());
                      const RmsNormParams params{x.data(), y.data(), has_weight ? weight.data() : nullptr, eps,
                                                 x.columns(), tile_rows, x.outer(), x.strides(), y.strides()};
                      return run_tiles(kernel, params, tiles_of(x.outer().rows(), tile_rows));
                    },
                    [=](const std::vector<float>& row) {
                      const std::vector<float> weight = weights(static_cast<int64_t>(row.size()));
                      double squares = 0;
                      for (float value : row) squares += static_cast<double>(value) * value;
                      const double root = std::sqrt(squares / static_cast<double>(row.size()) + eps);
                      std::vector<double> expected;
                      for (size_t i = 0; i < row.size(); ++i) {
                        expected.push_back(row[i] / root * (has_weight ? weight[i] : 1.0));
                      }
                      return expected;
                    },
                    [=](Random& random) { return scale * random.uniform(); }},
                   row_lengths());
}

TEST_CASE("rms_norm: float64, layouts, tiles, a row alone, in place") {
  check_rms_norm(true, 1e-5, 3);
  check_rms_norm(false, 1e-6, 1e-3f);
}

TEST_CASE("rms_norm: exact where arithmetic is, zeros, NaN and infinity") {
  for (Isa isa : instruction_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    Rows<float> x({{1, 1, 1, 4}}, 35, Layout::gapped);
    x.fill([sign = 1.0f]() mutable { return 4 * (sign = -sign); });  // the root is exactly 4
    std::fill_n(x.row(1), 35, 0.0f);
    x.row(2)[34] = NAN;
    x.row(3)[0] = INFINITY;
    Rows<float> y(x.outer(), 35, Layout::permuted);
    const RmsNormParams params{x.data(), y.data(), nullptr, 0.0, 35, 1, x.outer(), x.strides(), y.strides()};
    REQUIRE(run_tiles(kernel_named("rms_norm", isa), params, 4) == KernelStatus::ok);
    for (int64_t column = 0; column < 35; ++column) {
      CHECK(y.row(0)[column] == x.row(0)[column] / 4);
      CHECK(std::isnan(y.row(1)[column]));  // 0 · (1 / 0), since eps is 0
      CHECK(std::isnan(y.row(2)[column]));
      CHECK((column == 0 ? std::isnan(y.row(3)[column]) : y.row(3)[column] == 0));
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
