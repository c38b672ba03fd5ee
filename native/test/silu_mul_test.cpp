// Tests of silu_mul: against float64, in any layout, with infinities in the gate.
#include "kernels/silu_mul.h"

#include "kernels/math_ref.h"
#include "rows_testing.h"

namespace tesserae::testing {
namespace {

KernelStatus run_silu_mul(Kernel kernel, Rows<float>& gate, Rows<float>& up, Rows<float>& y, int64_t tile_rows) {
  const SiluMulParams params{gate.data(),  up.data(),      y.data(),     gate.columns(), tile_rows,
                             gate.outer(), gate.strides(), up.strides(), y.strides()};
  return run_tiles(kernel, params, tiles_of(gate.outer().rows(), tile_rows));
}

// The operand `up` of the row checks: a function of the column only.
float up_at(int64_t column) { return static_cast<float>(column % 13) / 4 - 1.5f; }

TEST_CASE("silu_mul: float64, layouts, tiles, a row alone, in place") {
  check_row_kernel({"silu_mul",
                    [](Kernel kernel, Rows<float>& gate, Rows<float>& y, int64_t tile_rows) {
                      Rows<float> up(gate.outer(), gate.columns(), Layout::gapped);
                      up.fill([&, column = int64_t{0}]() mutable { return up_at(column++ % gate.columns()); });
                      return run_silu_mul(kernel, gate, up, y, tile_rows);
                    },
                    [](const std::vector<float>& row) {
                      std::vector<double> expected;
                      for (size_t i = 0; i < row.size(); ++i) {
                        expected.push_back(silu_ref(row[i]) * up_at(static_cast<int64_t>(i)));
                      }
                      return expected;
                    },
                    [](Random& random) { return 6 * random.uniform(); }},
                   row_lengths());
}

TEST_CASE("silu_mul: special values, and y may be up") {
  for (Isa isa : instruction_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    const std::vector<float> gates{-INFINITY, INFINITY, NAN, 0.0f, -0.0f, -INFINITY, 40.0f, 2.0f, NAN};
    const std::vector<float> ups{2.0f, 3.0f, 1.0f, 5.0f, 5.0f, INFINITY, 0.5f, NAN, 0.0f};
    Rows<float> gate({{1, 1, 1, 1}}, 9, Layout::gapped);
    Rows<float> up({{1, 1, 1, 1}}, 9, Layout::permuted);
    std::copy(gates.begin(), gates.end(), gate.row(0));
    std::copy(ups.begin(), ups.end(), up.row(0));
    REQUIRE(run_silu_mul(kernel_named("silu_mul", isa), gate, up, up, 1) == KernelStatus::ok);
    const float* y = up.row(0);
    CHECK((y[0] == 0 && std::signbit(y[0])));
    CHECK(y[1] == INFINITY);
    CHECK(std::isnan(y[2]));
    CHECK((y[3] == 0 && !std::signbit(y[3])));
    CHECK((y[4] == 0 && std::signbit(y[4])));
    CHECK(std::isnan(y[5]));  // -0 · infinity
    CHECK(y[6] == 20);
    CHECK(std::isnan(y[7]));
    CHECK(std::isnan(y[8]));
    CHECK(up.guards_intact());
  }
}

TEST_CASE("silu_mul: the same bits with all vector sets, for any gate") {
  constexpr int64_t kColumns = 40'003;
  Rows<float> gate({{1, 1, 1, 1}}, kColumns, Layout::gapped);
  Rows<float> up({{1, 1, 1, 1}}, kColumns, Layout::contiguous);
  Random random(3);
  gate.fill([&] { return std::ldexp(random.uniform(), random.integer(-140, 10)); });
  up.fill([&] { return random.uniform(); });
  std::vector<float> expected;
  for (Isa isa : vector_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    Rows<float> y({{1, 1, 1, 1}}, kColumns, Layout::permuted);
    REQUIRE(run_silu_mul(kernel_named("silu_mul", isa), gate, up, y, 1) == KernelStatus::ok);
    const std::vector<float> got(y.row(0), y.row(0) + kColumns);
    if (expected.empty()) expected = got;
    CHECK(std::memcmp(got.data(), expected.data(), kColumns * sizeof(float)) == 0);
    CHECK(y.guards_intact());
  }
}

}  // namespace
}  // namespace tesserae::testing
