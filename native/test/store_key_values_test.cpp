// Tests of store_key_values: every kernel set writes the same bytes, to the rows' own places and nowhere else; how
// quantized blocks round; places that do not exist are refused.
#include <doctest/doctest.h>

#include "paged_case.h"

using namespace tesserae;
using namespace tesserae::paged_testing;

namespace {

std::vector<unsigned char> bytes_of(const Cache& cache) {
  std::vector<unsigned char> all;
  for (const auto& page : cache.memory) all.insert(all.end(), page.get(), page.get() + cache.page_bytes);
  return all;
}

}  // namespace

TEST_CASE("store_key_values writes the same bytes with every kernel set, and nothing else") {
  for (KeyValueType type : kTypes) {
    std::vector<Case> cases;
    cases.emplace_back(Shape{1, 4, 3, 1, 70, 64, 32}, true, 5);
    cases.emplace_back(Shape{1, 4, 3, 1, 33, 64, 32}, true, 6);
    Case& c = cases[0];
    c.k.at(0, 1, 9, 3) = NAN;
    c.k.at(0, 2, 11, 40) = INFINITY;
    c.v.at(0, 0, 20, 1) = -INFINITY;
    for (int64_t d = 0; d < 32; ++d) c.k.at(0, 0, 30, d) = 0, c.v.at(0, 0, 31, d) = 1e-9f, c.v.at(0, 1, 31, d) = 6e-6f;
    for (int64_t d = 0; d < 32; ++d) c.k.at(0, 0, 32, d) = 4e4f * static_cast<float>(d % 2 == 0 ? d : -d);
    std::vector<std::vector<unsigned char>> written;
    for (const KernelTrio& kernel : kernels()) {
      Cache cache(type, c.shape, 32, 1, lengths_of(cases));
      fill(kernel.store, cases, cache);
      // The other layer is untouched.
      for (const auto& page : cache.memory) {
        CHECK(std::all_of(page.get(), page.get() + cache.page_bytes / kLayers, [](unsigned char b) { return b == 0xff; }));
      }
      written.push_back(bytes_of(cache));
    }
    for (const auto& other : written) CHECK(other == written[0]);
  }
}

TEST_CASE("store_key_values of rows of many sequences writes what it writes for each sequence alone") {
  for (KeyValueType type : kTypes) {
    std::vector<Case> cases;
    for (int64_t length : {70, 1, 32, 47}) {
      cases.emplace_back(Shape{1, 2, 2, 1, length, 32, 64}, false, static_cast<unsigned>(length));
    }
    for (const KernelTrio& kernel : kernels()) {
      Cache together(type, cases[0].shape, 16, 0, lengths_of(cases));
      fill(kernel.store, cases, together);
      Cache apart(type, cases[0].shape, 16, 0, lengths_of(cases));
      for (size_t sequence = 0; sequence < cases.size(); ++sequence) {
        Rows rows;
        for (int64_t position = 0; position < cases[sequence].shape.kv_len; ++position) rows.add(sequence, position);
        const StoreKeyValuesParams p =
            store_params(cases[0].shape, cases[sequence].k, cases[sequence].v, rows, apart);
        REQUIRE(run(kernel.store, p, store_tiles(p)) == KernelStatus::ok);
      }
      CHECK(bytes_of(together) == bytes_of(apart));
    }
  }
}

TEST_CASE("a quantized block that is not finite is NaN, one too small is 0, and the rest rounds by half a step") {
  std::vector<Case> cases = {causal_case({1, 1, 1, 1, 1, 32, 32}, false, 6)};
  Case& c = cases[0];
  const auto value_of = [&](float a, float b) {
    for (int64_t d = 0; d < 32; ++d) c.v.at(0, 0, 0, d) = d == 0 ? a : b;
    std::vector<float> last;
    for (const KernelTrio& kernel : kernels()) {
      Cache cache(KeyValueType::q8_0, c.shape, 16, 0, {1});
      fill(kernel.store, cases, cache);
      PagedRun attend(cases, cache, rows_of(cases), 1, 1);
      REQUIRE(attend.run(kernel.attend) == KernelStatus::ok);
      last = attend.of(0);
    }
    return last;
  };
  for (float x : value_of(NAN, 1)) CHECK(std::isnan(x));
  for (float x : value_of(INFINITY, 1)) CHECK(std::isnan(x));
  for (float x : value_of(1e-9f, 1e-9f)) CHECK(x == 0);
  CHECK(value_of(127, 3.4f)[1] == doctest::Approx(3.4).epsilon(0.5 / 3.4));
  CHECK(value_of(127, 3)[1] == 3);
}

TEST_CASE("store_key_values refuses a slot, a position or a page that does not exist, and skips padding") {
  Case c({1, 2, 1, 1, 40, 32, 32}, false, 7);
  for (KeyValueType type : kTypes) {
    for (const KernelTrio& kernel : kernels()) {
      // Two sequences of three pages each, of 16 positions, and room for a fourth page.
      Cache cache(type, c.shape, 16, 0, {40, 40}, 1);
      const auto store = [&](int32_t slot, int32_t position) {
        Rows rows;
        rows.add(0, 0);
        rows.add(1, 0);
        rows.sequences[1] = slot;
        rows.positions[1] = position;
        return run(kernel.store, store_params(c.shape, c.k, c.v, rows, cache), 1);
      };
      const int32_t slot = Cache::slot_of(1);
      CHECK(store(slot, 47) == KernelStatus::ok);
      CHECK(store(-1, 47) == KernelStatus::ok);
      // A padding row's position does not matter.
      CHECK(store(-1, 1 << 30) == KernelStatus::ok);
      for (int32_t position : {-1, 48, 63, 64, 1 << 30, INT32_MIN}) {
        CHECK(store(slot, position) == KernelStatus::index_out_of_range);
      }
      for (int32_t wrong : {-2, 0, 2, 4, 5, 1 << 30, INT32_MIN}) {
        CHECK(store(wrong, 0) == KernelStatus::index_out_of_range);
      }
      for (int32_t number : {-2, 0, 2, static_cast<int32_t>(cache.directory.size()), 1 << 30, INT32_MIN}) {
        cache.number(1, 1) = number;
        CHECK(store(slot, 16) == KernelStatus::index_out_of_range);
        CHECK(store(slot, 15) == KernelStatus::ok);
      }
    }
  }
}
