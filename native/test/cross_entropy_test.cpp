// Tests of cross_entropy: against float64, for every remainder of a row; invalid targets are refused.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernel_sets.h"
#include "kernels/cross_entropy.h"

using namespace tesserae;

namespace {

KernelStatus run(Kernel kernel, const std::vector<float>& x, const std::vector<int32_t>& targets, std::vector<float>& y,
                 int64_t columns, int64_t tile_rows) {
  const int64_t rows = static_cast<int64_t>(targets.size());
  OpRecord op = {};
  auto& p = *reinterpret_cast<CrossEntropyParams*>(op.params);
  p = {x.data(), targets.data(), y.data(), columns, tile_rows, {{1, 1, 1, rows}}, {{0, 0, 0, columns}}, {{0, 0, 0, 1}},
       {{0, 0, 0, 1}}};
  Scratch scratch = {};
  for (int64_t tile = 0; tile * tile_rows < rows; ++tile) {
    const KernelStatus status = kernel(op, tile, scratch);
    if (status != KernelStatus::ok) return status;
  }
  return KernelStatus::ok;
}

}  // namespace

TEST_CASE("cross_entropy matches float64 and does not depend on tiles") {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 4);
  for (const int64_t columns : {1, 2, 7, 8, 9, 31, 32, 33, 65, 2048}) {
    const int64_t rows = 5;
    std::vector<float> x(rows * columns);
    for (float& value : x) value = normal(random);
    std::vector<int32_t> targets(rows);
    for (auto& target : targets) target = static_cast<int32_t>(random() % columns);
    std::vector<float> vectors(rows, NAN), scalars(rows, NAN), tiled(rows, NAN);
    REQUIRE(run(cross_entropy_ref, x, targets, scalars, columns, 3) == KernelStatus::ok);
    for (const Isa isa : vector_sets()) {
      CAPTURE(std::string(kernel_set(isa).isa));
      const Kernel kernel = kernel_named("cross_entropy", isa);
      std::vector<float> others(rows, NAN);
      REQUIRE(run(kernel, x, targets, others, columns, rows) == KernelStatus::ok);
      REQUIRE(run(kernel, x, targets, tiled, columns, 2) == KernelStatus::ok);
      if (isa == vector_sets().front()) vectors = others;
      CHECK(others == vectors);
      CHECK(others == tiled);
    }
    for (int64_t row = 0; row < rows; ++row) {
      double sum = 0;
      for (int64_t column = 0; column < columns; ++column) sum += std::exp(static_cast<double>(x[row * columns + column]));
      const double expected = std::log(sum) - x[row * columns + targets[row]];
      CHECK(vectors[row] == doctest::Approx(expected).epsilon(1e-6));
      CHECK(scalars[row] == doctest::Approx(expected).epsilon(1e-6));
    }
  }
}

TEST_CASE("cross_entropy refuses a target outside the row") {
  std::vector<float> x(8), y(1);
  for (const int32_t target : {-1, 8}) {
    for (const Isa isa : instruction_sets()) {
      CHECK(run(kernel_named("cross_entropy", isa), x, {target}, y, 8, 1) == KernelStatus::index_out_of_range);
    }
  }
}
