// Tests of softmax: against float64, and rows with infinities and NaN.
#include "kernels/softmax.h"

#include "rows_testing.h"

namespace tesserae::testing {
namespace {

KernelStatus run_softmax(Kernel kernel, Rows<float>& x, Rows<float>& y, int64_t tile_rows) {
  const SoftmaxParams params{x.data(), y.data(), x.columns(), tile_rows, x.outer(), x.strides(), y.strides()};
  return run_tiles(kernel, params, tiles_of(x.outer().rows(), tile_rows));
}

std::vector<double> softmax_float64(const std::vector<float>& row) {
  const double max = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (float value : row) sum += std::exp(value - max);
  std::vector<double> expected;
  for (float value : row) expected.push_back(std::exp(value - max) / sum);
  return expected;
}

TEST_CASE("softmax: float64, layouts, tiles, a row alone, in place") {
  check_row_kernel({"softmax", run_softmax, softmax_float64, [](Random& random) { return 12 * random.uniform(); }},
                   row_lengths());
}

TEST_CASE("softmax: rows of special values") {
  for (Isa isa : instruction_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    const Kernel kernel = kernel_named("softmax", isa);
    for (int64_t columns : {1, 3, 8, 19, 40}) {
      Rows<float> x({{1, 1, 1, 6}}, columns, Layout::gapped);
      x.fill([] { return 1.0f; });
      std::fill_n(x.row(0), columns, -INFINITY);
      x.row(1)[columns - 1] = INFINITY;
      x.row(2)[0] = NAN;
      x.row(3)[columns / 2] = NAN;
      std::fill_n(x.row(4), columns, -INFINITY);
      x.row(4)[columns / 2] = -3e38f;
      Rows<float> y(x.outer(), columns, Layout::gapped);
      REQUIRE(run_softmax(kernel, x, y, 2) == KernelStatus::ok);
      for (int64_t row = 0; row < 4; ++row) {
        for (float value : y.copy_row(row)) CHECK(std::isnan(value));
      }
      for (int64_t column = 0; column < columns; ++column) {
        CHECK(y.row(4)[column] == (column == columns / 2 ? 1.0f : 0.0f));
        CHECK(y.row(5)[column] == 1.0f / static_cast<float>(columns));
      }
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
