// Tests of embedding: rows of f32 and f16 tables, and ids that are out of range.
#include "kernels/embedding.h"

#include "kernels/half.h"
#include "rows_testing.h"

namespace tesserae::testing {
namespace {

constexpr int64_t kTableRows = 9;

template <typename T>
KernelStatus run_embedding(Isa isa, Rows<T>& table, Rows<int32_t>& ids, Rows<float>& y, int64_t tile_rows) {
  const EmbeddingParams params{table.data(),
                               static_cast<int64_t>(sizeof(T) == 2 ? DType::f16 : DType::f32),
                               kTableRows,
                               table.strides().stride[3],
                               ids.data(),
                               y.data(),
                               y.columns(),
                               tile_rows,
                               y.outer(),
                               ids.strides(),
                               y.strides()};
  return run_tiles(kernel_named("embedding", isa), params, tiles_of(y.outer().rows(), tile_rows));
}

float value_of(float element) { return element; }
float value_of(uint16_t element) { return half_to_float(element); }

template <typename T>
void check_embedding(T (*element)(Random&)) {
  for (Isa isa : instruction_sets()) {
    for (int64_t columns : {1, 7, 8, 9, 16, 33}) {
      CAPTURE(std::string(kernel_set(isa).isa));
      CAPTURE(columns);
      Random random(5);
      Rows<T> table({{1, 1, 1, kTableRows}}, columns, Layout::gapped);
      table.fill([&] { return element(random); });
      Rows<int32_t> ids({{2, 1, 3, 4}}, 1, Layout::permuted);
      ids.fill([&] { return random.integer(0, kTableRows - 1); });
      for (int64_t tile_rows : {1, 5, 100}) {
        Rows<float> y(ids.outer(), columns, Layout::gapped);
        REQUIRE(run_embedding(isa, table, ids, y, tile_rows) == KernelStatus::ok);
        CHECK(y.guards_intact());
        bool equal = true;
        for (int64_t row = 0; row < ids.outer().rows(); ++row) {
          for (int64_t column = 0; column < columns; ++column) {
            const float expected = value_of(table.row(*ids.row(row))[column]);
            equal &= std::memcmp(&expected, y.row(row) + column, 4) == 0;
          }
        }
        CHECK(equal);
      }
    }
  }
}

TEST_CASE("embedding: f32 and f16 tables, bit for bit") {
  check_embedding<float>([](Random& random) { return random.uniform(); });
  check_embedding<uint16_t>([](Random& random) { return static_cast<uint16_t>(random.bits()); });
}

TEST_CASE("embedding: an id outside the table is a status, and nothing is read there") {
  for (Isa isa : instruction_sets()) {
    for (int32_t bad : {-1, static_cast<int32_t>(kTableRows), INT32_MIN, INT32_MAX}) {
      Rows<float> table({{1, 1, 1, kTableRows}}, 10, Layout::contiguous);
      table.fill([] { return 1.0f; });
      Rows<int32_t> ids({{1, 1, 1, 4}}, 1, Layout::contiguous);
      ids.fill([] { return 0; });
      *ids.row(2) = bad;
      Rows<float> y(ids.outer(), 10, Layout::gapped);
      CHECK(run_embedding(isa, table, ids, y, 4) == KernelStatus::index_out_of_range);
      CHECK(y.row(1)[9] == 1);
      CHECK(std::isnan(y.row(2)[0]));
      CHECK(y.guards_intact());
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
