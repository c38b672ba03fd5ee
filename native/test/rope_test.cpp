// Tests of rope: against long double, both styles, partial rotation, large positions.
#include "kernels/rope.h"

#include "rows_testing.h"

namespace tesserae::testing {
namespace {

struct RopeCase {
  RopeStyle style;
  int64_t dim;
  int64_t rotary_dim;
  double magnitude;
};

std::vector<float> frequencies(int64_t rotary_dim) {
  std::vector<float> values;
  for (int64_t pair = 0; pair < rotary_dim / 2; ++pair) {
    const double exponent = -2.0 * static_cast<double>(pair) / static_cast<double>(rotary_dim);
    values.push_back(static_cast<float>(std::pow(10000.0, exponent)));
  }
  return values;
}

KernelStatus run_rope(Isa isa, const RopeCase& c, Rows<float>& x, Rows<float>& y, Rows<int32_t>& positions,
                      int64_t tile_tokens) {
  const std::vector<float> inverse = frequencies(c.rotary_dim);
  const Rotation rotation{inverse.data(), c.magnitude, static_cast<int64_t>(c.style), c.rotary_dim};
  const RopeParams params{x.data(),  y.data(),    positions.data(), rotation,    c.dim,
                          tile_tokens, x.outer(), x.strides(),      y.strides(), positions.strides()};
  return run_tiles(kernel_named("rope", isa), params, tiles_of(x.outer().rows() / x.outer().size[3], tile_tokens));
}

std::vector<double> turned(const RopeCase& c, const std::vector<float>& row, int32_t position) {
  const std::vector<float> inverse = frequencies(c.rotary_dim);
  std::vector<double> expected(row.begin(), row.end());
  for (int64_t pair = 0; pair < c.rotary_dim / 2; ++pair) {
    const bool interleaved = c.style == RopeStyle::interleaved;
    const auto i = static_cast<size_t>(interleaved ? 2 * pair : pair);
    const auto j = static_cast<size_t>(interleaved ? 2 * pair + 1 : pair + c.rotary_dim / 2);
    const long double angle = static_cast<long double>(position) * inverse[static_cast<size_t>(pair)];
    const double cosine = static_cast<double>(std::cos(angle)) * c.magnitude;
    const double sine = static_cast<double>(std::sin(angle)) * c.magnitude;
    expected[i] = row[i] * cosine - row[j] * sine;
    expected[j] = row[j] * cosine + row[i] * sine;
  }
  return expected;
}

TEST_CASE("rope: float64, layouts, tiles, a token alone, in place") {
  const OuterShape outer{{2, 1, 5, 3}};  // [batch, 1, tokens, heads]
  const std::vector<RopeCase> cases{
      {RopeStyle::interleaved, 2, 2, 1},   {RopeStyle::half_split, 2, 2, 1},     {RopeStyle::interleaved, 64, 64, 1},
      {RopeStyle::half_split, 64, 64, 1},  {RopeStyle::interleaved, 34, 26, 1},  {RopeStyle::half_split, 34, 26, 1.25},
      {RopeStyle::half_split, 128, 32, 1}, {RopeStyle::interleaved, 20, 18, 0.5}, {RopeStyle::half_split, 18, 18, 1}};
  for (Isa isa : instruction_sets()) {
    for (const RopeCase& c : cases) {
      for (Layout layout : {Layout::contiguous, Layout::gapped, Layout::permuted}) {
        CAPTURE(std::string(kernel_set(isa).isa));
        CAPTURE(c.dim);
        CAPTURE(c.rotary_dim);
        CAPTURE(static_cast<int>(c.style));
        Random random(11);
        Rows<float> x(outer, c.dim, layout);
        x.fill([&] { return random.uniform(); });
        Rows<int32_t> positions({{2, 1, 5, 1}}, 1, Layout::permuted);
        positions.fill([&] { return random.integer(0, 1) ? random.integer(0, 300) : random.integer(900000, 1100000); });
        Rows<float> y(outer, c.dim, Layout::gapped);
        REQUIRE(run_rope(isa, c, x, y, positions, 2) == KernelStatus::ok);
        CHECK(y.guards_intact());
        double worst = 0;
        for (int64_t row = 0; row < outer.rows(); ++row) {
          const std::vector<double> expected = turned(c, x.copy_row(row), *positions.row(row / 3));
          for (int64_t column = 0; column < c.dim; ++column) {
            worst = std::max(worst, std::fabs(y.row(row)[column] - expected[static_cast<size_t>(column)]));
          }
        }
        CHECK(worst < 0x1p-22);

        for (int64_t tile_tokens : {1, 3, 100}) {
          Rows<float> other(outer, c.dim, Layout::permuted);
          REQUIRE(run_rope(isa, c, x, other, positions, tile_tokens) == KernelStatus::ok);
          CHECK(same_bits(y.values(), other.values()));
        }

        const OuterShape one{{1, 1, 1, 1}};
        Rows<float> x_alone(one, c.dim, Layout::contiguous);
        std::copy_n(x.row(outer.rows() - 1), c.dim, x_alone.row(0));
        Rows<int32_t> position(one, 1, Layout::contiguous);
        *position.row(0) = *positions.row(9);
        Rows<float> y_alone(one, c.dim, Layout::gapped);
        REQUIRE(run_rope(isa, c, x_alone, y_alone, position, 1) == KernelStatus::ok);
        CHECK(same_bits(y_alone.copy_row(0), y.copy_row(outer.rows() - 1)));

        REQUIRE(run_rope(isa, c, x, x, positions, 2) == KernelStatus::ok);
        CHECK(same_bits(x.values(), y.values()));
        CHECK(x.guards_intact());
      }
    }
  }
}

TEST_CASE("rope: position 0 changes nothing, and NaN stays in its pair") {
  for (Isa isa : instruction_sets()) {
    for (RopeStyle style : {RopeStyle::interleaved, RopeStyle::half_split}) {
      const RopeCase c{style, 24, 22, 1};
      Rows<float> x({{1, 1, 2, 2}}, 24, Layout::gapped);
      Random random(2);
      x.fill([&] { return static_cast<float>(random.integer(-9, 9)); });
      Rows<int32_t> positions({{1, 1, 2, 1}}, 1, Layout::contiguous);
      *positions.row(0) = 0;
      *positions.row(1) = INT32_MAX;
      x.row(3)[0] = NAN;
      Rows<float> y(x.outer(), 24, Layout::gapped);
      REQUIRE(run_rope(isa, c, x, y, positions, 1) == KernelStatus::ok);
      for (int64_t row : {0, 1}) {
        for (int64_t column = 0; column < 24; ++column) CHECK(y.row(row)[column] == x.row(row)[column]);
      }
      const int64_t partner = style == RopeStyle::interleaved ? 1 : 11;
      for (int64_t column = 0; column < 24; ++column) {
        CHECK(std::isnan(y.row(3)[column]) == (column == 0 || column == partner));
      }
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
