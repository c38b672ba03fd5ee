// Tests of argmax: the first of several equal maxima, the first NaN, any layout.
#include "kernels/argmax.h"

#include "rows_testing.h"

namespace tesserae::testing {
namespace {

std::vector<int32_t> run_argmax(Isa isa, Rows<float>& x, int64_t tile_rows) {
  Rows<int32_t> y(x.outer(), 1, Layout::permuted);
  const ArgmaxParams params{x.data(), y.data(), x.columns(), tile_rows, x.outer(), x.strides(), y.strides()};
  REQUIRE(run_tiles(kernel_named("argmax", isa), params, tiles_of(x.outer().rows(), tile_rows)) == KernelStatus::ok);
  CHECK(y.guards_intact());
  return y.values();
}

int32_t first_maximum(const std::vector<float>& row) {
  for (size_t i = 0; i < row.size(); ++i) {
    if (std::isnan(row[i])) return static_cast<int32_t>(i);
  }
  return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

TEST_CASE("argmax: many equal values, every layout and tile size") {
  for (Isa isa : instruction_sets()) {
    for (int64_t columns : row_lengths()) {
      for (int range : {0, 3, 1000000}) {
        for (Layout layout : {Layout::contiguous, Layout::gapped, Layout::permuted}) {
          CAPTURE(std::string(kernel_set(isa).isa));
          CAPTURE(columns);
          CAPTURE(range);
          Rows<float> x({{2, 1, 3, 4}}, columns, layout);
          Random random(static_cast<uint64_t>(columns + range));
          x.fill([&] { return static_cast<float>(random.integer(-range, range)); });
          std::vector<int32_t> expected;
          for (int64_t row = 0; row < x.outer().rows(); ++row) expected.push_back(first_maximum(x.copy_row(row)));
          for (int64_t tile_rows : {1, 5, 100}) CHECK(run_argmax(isa, x, tile_rows) == expected);
        }
      }
    }
  }
}

TEST_CASE("argmax: NaN, infinities and signed zeros") {
  for (Isa isa : instruction_sets()) {
    for (int64_t columns : {2, 8, 9, 16, 30}) {
      CAPTURE(std::string(kernel_set(isa).isa));
      CAPTURE(columns);
      Rows<float> x({{1, 1, 1, 6}}, columns, Layout::gapped);
      x.fill([] { return -1.0f; });
      std::fill_n(x.row(0), columns, -INFINITY);
      x.row(1)[columns - 1] = NAN;
      x.row(2)[columns / 2] = NAN;
      x.row(2)[columns - 1] = NAN;
      x.row(2)[0] = INFINITY;
      x.row(3)[columns / 2] = -0.0f;
      x.row(3)[columns - 1] = 0.0f;
      x.row(4)[0] = NAN;
      x.row(5)[columns - 1] = INFINITY;
      const auto last = static_cast<int32_t>(columns - 1);
      const auto middle = static_cast<int32_t>(columns / 2);
      CHECK(run_argmax(isa, x, 2) == std::vector<int32_t>{0, last, middle, columns == 2 ? last : middle, 0, last});
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
