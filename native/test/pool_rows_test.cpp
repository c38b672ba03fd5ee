// Tests of pool_rows: the bits of the definition in float64 for every pooling, however a text is cut into items; items
// that are not valid are refused.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernel_sets.h"
#include "kernels/pool_rows.h"
#include "scratch.h"

using namespace tesserae;

namespace {

constexpr float kUnwritten = 1e30f;

struct Problem {
  int64_t rows, columns, stride;
  std::vector<float> x;
  std::vector<PoolItem> items;
  std::vector<double> sums;
  std::vector<float> y;

  Problem(int64_t rows_, int64_t columns_) : rows(rows_), columns(columns_), stride(columns_ + 3) {
    std::mt19937 random(static_cast<unsigned>(rows * 1000 + columns));
    std::normal_distribution<float> normal(0, 2);
    x.resize(static_cast<size_t>(rows * stride));
    for (float& value : x) value = normal(random);
  }

  KernelStatus run(Kernel kernel, int64_t tiles, bool has_sums = true) {
    OpRecord op = {};
    auto& p = *reinterpret_cast<PoolRowsParams*>(op.params);
    sums.assign(items.size() * static_cast<size_t>(columns), NAN);
    y.assign(items.size() * static_cast<size_t>(columns), kUnwritten);
    const auto count = static_cast<int64_t>(items.size());
    p = {x.data(), items.data(), has_sums ? sums.data() : nullptr, y.data(), rows, columns, stride, count, tiles};
    Scratch scratch = test::fresh_scratch();
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const KernelStatus status = kernel(op, tile, scratch);
      if (status != KernelStatus::ok) return status;
    }
    return KernelStatus::ok;
  }

  // The vector of a whole text, by the definition.
  std::vector<float> expected(int64_t first_row, int64_t total, Pooling pooling, int64_t dimensions, bool normalize) {
    std::vector<double> pooled(static_cast<size_t>(columns), 0.0);
    for (int64_t row = 0; row < total; ++row) {
      if (pooling == Pooling::first && row > 0) continue;
      if (pooling == Pooling::last && row < total - 1) continue;
      for (int64_t column = 0; column < columns; ++column) {
        pooled[static_cast<size_t>(column)] += static_cast<double>(x[static_cast<size_t>((first_row + row) * stride + column)]);
      }
    }
    double squares = 0;
    for (int64_t column = 0; column < dimensions; ++column) squares += pooled[static_cast<size_t>(column)] * pooled[static_cast<size_t>(column)];
    const double divisor = normalize ? std::sqrt(squares) : pooling == Pooling::mean ? static_cast<double>(total) : 1.0;
    std::vector<float> vector(static_cast<size_t>(columns), 0.0f);
    for (size_t column = 0; column < static_cast<size_t>(dimensions); ++column) {
      vector[column] = divisor == 0 ? 0.0f : static_cast<float>(pooled[column] / divisor);
    }
    return vector;
  }

  bool is_vector(size_t item, const std::vector<float>& vector) const {
    return std::memcmp(y.data() + item * vector.size(), vector.data(), vector.size() * sizeof(float)) == 0;
  }
};

PoolItem item_of(int64_t first_row, int64_t rows, int64_t from, int64_t total, Pooling pooling, int64_t dimensions,
                 bool normalize) {
  return {static_cast<int32_t>(first_row), static_cast<int32_t>(rows),    static_cast<int32_t>(from),
          static_cast<int32_t>(total),     static_cast<int32_t>(pooling), static_cast<int32_t>(dimensions),
          normalize ? 1 : 0,               0};
}

constexpr Pooling kPoolings[] = {Pooling::mean, Pooling::last, Pooling::first};

}  // namespace

TEST_CASE("pool_rows has the bits of the definition in float64") {
  for (const Isa isa : instruction_sets()) {
    for (const int64_t columns : {1, 3, 4, 5, 31, 32, 33, 67, 384}) {
      Problem problem(40, columns);
      const std::vector<int64_t> lengths = {1, 2, 17, 9};
      for (const Pooling pooling : kPoolings) {
        for (const bool normalize : {false, true}) {
          for (const int64_t dimensions : {int64_t{1}, (columns + 1) / 2, columns}) {
            problem.items.clear();
            std::vector<std::vector<float>> expected;
            int64_t row = 3;
            for (const int64_t length : lengths) {
              problem.items.push_back(item_of(row, length, 0, length, pooling, dimensions, normalize));
              problem.items.push_back({});
              expected.push_back(problem.expected(row, length, pooling, dimensions, normalize));
              row += length;
            }
            for (const int64_t tiles : {1, 3, 20}) {
              REQUIRE(problem.run(kernel_named("pool_rows", isa), tiles, tiles == 3) == KernelStatus::ok);
              for (size_t text = 0; text < lengths.size(); ++text) {
                CHECK(problem.is_vector(2 * text, expected[text]));
                CHECK(problem.y[(2 * text + 1) * static_cast<size_t>(columns)] == kUnwritten);
              }
            }
          }
        }
      }
    }
  }
}

TEST_CASE("pool_rows: a text that is cut into items has the bits of the whole") {
  for (const Isa isa : instruction_sets()) {
    for (const Pooling pooling : kPoolings) {
      Problem problem(30, 37);
      const std::vector<float> expected = problem.expected(0, 30, pooling, 20, true);
      for (const int64_t cut : {1, 7, 29}) {
        problem.items = {item_of(0, cut, 0, 30, pooling, 20, true)};
        REQUIRE(problem.run(kernel_named("pool_rows", isa), 1) == KernelStatus::ok);
        CHECK(problem.y[0] == kUnwritten);
        const std::vector<double> kept = problem.sums;
        problem.items = {item_of(cut, 30 - cut, cut, 30, pooling, 20, true)};
        problem.y.assign(37, kUnwritten);
        OpRecord op = {};
        auto& p = *reinterpret_cast<PoolRowsParams*>(op.params);
        problem.sums = kept;
        p = {problem.x.data(), problem.items.data(), problem.sums.data(), problem.y.data(), 30, 37, problem.stride, 1, 1};
        Scratch scratch = test::fresh_scratch();
        REQUIRE(kernel_named("pool_rows", isa)(op, 0, scratch) == KernelStatus::ok);
        CHECK(problem.is_vector(0, expected));
      }
    }
  }
}

TEST_CASE("pool_rows: a vector of zeros stays one, and NaN is passed on") {
  for (const Isa isa : instruction_sets()) {
    Problem problem(2, 9);
    std::fill(problem.x.begin(), problem.x.end(), 0.0f);
    problem.items = {item_of(0, 2, 0, 2, Pooling::mean, 9, true)};
    REQUIRE(problem.run(kernel_named("pool_rows", isa), 1) == KernelStatus::ok);
    CHECK(problem.is_vector(0, std::vector<float>(9, 0.0f)));
    problem.x[4] = NAN;
    REQUIRE(problem.run(kernel_named("pool_rows", isa), 1) == KernelStatus::ok);
    for (const float value : problem.y) CHECK(std::isnan(value));
  }
}

TEST_CASE("pool_rows refuses items that are not valid") {
  const PoolItem valid = item_of(2, 3, 0, 3, Pooling::mean, 4, false);
  for (const Isa isa : instruction_sets()) {
    Problem problem(6, 4);
    const auto status_of = [&](auto change, bool has_sums = true) {
      PoolItem item = valid;
      change(item);
      problem.items = {valid, item};
      return problem.run(kernel_named("pool_rows", isa), 1, has_sums);
    };
    constexpr auto kRefused = KernelStatus::index_out_of_range;
    CHECK(status_of([](PoolItem&) {}) == KernelStatus::ok);
    CHECK(status_of([](PoolItem& item) { item.total = 4; }) == KernelStatus::ok);
    CHECK(status_of([](PoolItem& item) { item.total = 4; }, false) == kRefused);
    CHECK(status_of([](PoolItem& item) { item.from = 1, item.total = 4; }, false) == kRefused);
    for (const int32_t row : {-1, 4, INT32_MAX, INT32_MIN}) {
      CHECK(status_of([&](PoolItem& item) { item.first_row = row; }) == kRefused);
    }
    for (const int32_t rows : {-1, 5, INT32_MAX, INT32_MIN}) {
      CHECK(status_of([&](PoolItem& item) { item.rows = rows, item.total = INT32_MAX; }) == kRefused);
    }
    for (const int32_t from : {-1, 1, INT32_MAX}) CHECK(status_of([&](PoolItem& item) { item.from = from; }) == kRefused);
    for (const int32_t pooling : {-1, 3}) CHECK(status_of([&](PoolItem& item) { item.pooling = pooling; }) == kRefused);
    for (const int32_t count : {-1, 0, 5}) CHECK(status_of([&](PoolItem& item) { item.dimensions = count; }) == kRefused);
    CHECK(status_of([](PoolItem& item) { item.normalize = 2; }) == kRefused);
    CHECK(status_of([](PoolItem& item) { item.reserved = 1; }) == kRefused);
  }
}
