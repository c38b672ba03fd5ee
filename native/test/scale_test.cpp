// Tests of scale: one rounding for each element, in any layout.
#include "kernels/scale.h"

#include "rows_testing.h"

namespace tesserae::testing {
namespace {

KernelStatus run_scale(Kernel kernel, Rows<float>& x, Rows<float>& y, int64_t tile_rows, double factor) {
  const ScaleParams params{x.data(),  y.data(),  factor,      x.columns(),
                           tile_rows, x.outer(), x.strides(), y.strides()};
  return run_tiles(kernel, params, tiles_of(x.outer().rows(), tile_rows));
}

TEST_CASE("scale: float64, layouts, tiles, a row alone, in place") {
  const double factor = 0.1;
  check_row_kernel({"scale",
                    [&](Kernel kernel, Rows<float>& x, Rows<float>& y, int64_t tile_rows) {
                      return run_scale(kernel, x, y, tile_rows, factor);
                    },
                    [&](const std::vector<float>& row) {
                      std::vector<double> expected;
                      for (float value : row) expected.push_back(value * factor);
                      return expected;
                    },
                    [](Random& random) { return random.uniform(); }},
                   row_lengths());
}

TEST_CASE("scale: reference and AVX2 agree to the bit, NaN and infinities propagate") {
  std::vector<std::vector<float>> results;
  for (Isa isa : instruction_sets()) {
    Rows<float> x({{1, 1, 2, 3}}, 13, Layout::gapped);
    Random random(1);
    x.fill([&] { return random.uniform(); });
    x.row(0)[0] = NAN;
    x.row(1)[1] = INFINITY;
    x.row(2)[12] = -INFINITY;
    Rows<float> y(x.outer(), 13, Layout::permuted);
    REQUIRE(run_scale(kernel_named("scale", isa), x, y, 4, -3.7) == KernelStatus::ok);
    CHECK(std::isnan(y.row(0)[0]));
    CHECK(y.row(1)[1] == -INFINITY);
    CHECK(y.row(2)[12] == INFINITY);
    y.row(0)[0] = 0;
    results.push_back(y.values());
  }
  CHECK(same_bits(results.front(), results.back()));
}

}  // namespace
}  // namespace tesserae::testing
