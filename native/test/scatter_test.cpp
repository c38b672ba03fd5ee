// Tests of scatter: into KV caches in f32 and f16, and ids that are out of range.
#include "kernels/scatter.h"

#include "kernels/half.h"
#include "rows_testing.h"

namespace tesserae::testing {
namespace {

constexpr int64_t kBatch = 2, kHeads = 3, kTokens = 4, kCapacity = 11;

// x has rows [batch, 1, heads, tokens], the cache has rows [batch, 1, heads, capacity]; one id for each token of a
// batch.
template <typename T>
struct ScatterCase {
  Rows<float> x;
  Rows<T> cache;
  std::vector<int32_t> ids;

  explicit ScatterCase(int64_t columns)
      : x({{kBatch, 1, kHeads, kTokens}}, columns, Layout::gapped),
        cache({{kBatch, 1, kHeads, kCapacity}}, columns, Layout::permuted),
        ids{4, 5, 6, 7, 10, 0, 3, 1} {
    Random random(9);
    x.fill([&] { return 3 * random.uniform(); });
  }

  KernelStatus run(Isa isa, int64_t tile_rows) {
    OuterStrides cache_outer = cache.strides();
    const int64_t row_stride = cache_outer.stride[3];
    cache_outer.stride[3] = 0;
    const ScatterParams params{x.data(),
                               ids.data(),
                               cache.data(),
                               static_cast<int64_t>(sizeof(T) == 2 ? DType::f16 : DType::f32),
                               kCapacity,
                               row_stride,
                               x.columns(),
                               tile_rows,
                               x.outer(),
                               x.strides(),
                               {{kTokens, 0, 0, 1}},
                               cache_outer};
    return run_tiles(kernel_named("scatter", isa), params, tiles_of(x.outer().rows(), tile_rows));
  }
};

void store(float value, float& element) { element = value; }
void store(float value, uint16_t& element) { element = float_to_half(value); }

template <typename T>
void check_scatter() {
  for (Isa isa : instruction_sets()) {
    for (int64_t columns : {1, 7, 8, 9, 33}) {
      for (int64_t tile_rows : {1, 5, 100}) {
        CAPTURE(std::string(kernel_set(isa).isa));
        CAPTURE(columns);
        ScatterCase<T> c(columns);
        REQUIRE(c.run(isa, tile_rows) == KernelStatus::ok);
        Rows<T> expected(c.cache.outer(), columns, Layout::contiguous);
        for (int64_t row = 0; row < c.x.outer().rows(); ++row) {
          const int64_t token = row % kTokens;
          const int64_t plane = row / kTokens;  // batch and head
          const int64_t id = c.ids[static_cast<size_t>(plane / kHeads * kTokens + token)];
          for (int64_t column = 0; column < columns; ++column) {
            store(c.x.row(row)[column], expected.row(plane * kCapacity + id)[column]);
          }
        }
        CHECK(same_bits(c.cache.values(), expected.values()));
        CHECK(c.cache.guards_intact());
      }
    }
  }
}

TEST_CASE("scatter: into f32 and f16 caches, touching nothing else") {
  check_scatter<float>();
  check_scatter<uint16_t>();
}

TEST_CASE("scatter: an id outside the cache is a status, and nothing is written there") {
  for (Isa isa : instruction_sets()) {
    for (int32_t bad : {-1, static_cast<int32_t>(kCapacity), INT32_MIN, INT32_MAX}) {
      ScatterCase<float> c(10);
      c.ids[2] = bad;
      CHECK(c.run(isa, 100) == KernelStatus::index_out_of_range);
      CHECK(c.cache.row(5)[0] == c.x.row(1)[0]);
      CHECK(c.cache.guards_intact());
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
