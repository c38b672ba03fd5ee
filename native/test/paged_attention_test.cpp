// Tests of paged_attention: for rows of one and of many sequences, for every type of cache and every work list, the result
// has the bits of `attention` over the same values; what does not exist is refused.
#include <doctest/doctest.h>

#include "kernels/quantize_rows.h"
#include "paged_case.h"

using namespace tesserae;
using namespace tesserae::paged_testing;

namespace {

constexpr int64_t kBlock = kAttentionKeyBlock;

// Checks that the rows of each case have the bits of `attention` over the case's stored values.
void check_bits(std::vector<Case>& cases, KeyValueType type, int64_t page_positions,
                const std::vector<std::pair<int64_t, int64_t>>& most_and_lists, const Rows& rows) {
  std::vector<Case> stored;
  for (const Case& c : cases) stored.push_back(rounded(c, type));
  for (const KernelTrio& kernel : kernels()) {
    Cache cache(type, cases[0].shape, page_positions, 1, lengths_of(cases));
    fill(kernel.store, cases, cache);
    for (const auto& [most, lists] : most_and_lists) {
      CAPTURE(most);
      CAPTURE(lists);
      PagedRun attend(cases, cache, rows, most, lists);
      REQUIRE(attend.run(kernel.attend) == KernelStatus::ok);
      for (size_t sequence = 0; sequence < cases.size(); ++sequence) {
        CAPTURE(sequence);
        CHECK(same_bits(attend.of(sequence), attend_whole(kernel.whole, stored[sequence])));
      }
      const std::vector<float> padding = attend.of_padding();
      CHECK(std::all_of(padding.begin(), padding.end(), [](float x) { return x == 0; }));
    }
  }
}

}  // namespace

TEST_CASE("paged attention has the bits of attention over the stored values") {
  for (KeyValueType type : kTypes) {
    for (int64_t kv_len : {int64_t{1}, int64_t{15}, int64_t{16}, int64_t{17}, int64_t{33}, kBlock - 1, kBlock,
                           kBlock + 1, 2 * kBlock + 41}) {
      for (int64_t q_len : {1, 2, 4, 5, 13}) {
        if (q_len > kv_len) continue;
        for (int64_t width : {0, 1}) {
          const int64_t dim = type == KeyValueType::q8_0 ? 32 + 32 * width : 20 + 28 * width;
          const int64_t v_dim = type == KeyValueType::q8_0 ? 64 - 32 * width : 24 + 11 * width;
          std::vector<Case> cases = {
              causal_case({1, 6, 2, q_len, kv_len, dim, v_dim}, q_len % 2 == 1, static_cast<unsigned>(kv_len))};
          if (kv_len == 33) cases[0].window = 9, cases[0].softcap = 3;
          CAPTURE(static_cast<int64_t>(type));
          CAPTURE(kv_len);
          CAPTURE(q_len);
          CAPTURE(width);
          check_bits(cases, type, kv_len % 2 == 0 ? 16 : 32, {{q_len, 1}, {1, q_len}, {2, 3}}, rows_of(cases));
        }
      }
    }
  }
}

TEST_CASE("paged attention of rows of many sequences has the bits of each sequence alone") {
  for (KeyValueType type : kTypes) {
    for (int64_t group : {1, 3, 8}) {
      for (int variant : {0, 1, 2, 3}) {
        const bool quantized = type == KeyValueType::q8_0;
        const int64_t dim = quantized ? 64 : 19 + 13 * variant;
        const int64_t v_dim = quantized ? 32 : 40 - 7 * variant;
        std::vector<Case> cases;
        const std::vector<std::pair<int64_t, int64_t>> queries_and_keys = {
            {1, 1}, {1, kBlock + 7}, {3, 3}, {17, 90}, {1, 31}, {2, kBlock}, {40, 40}, {1, 64}};
        for (const auto& [queries, keys] : queries_and_keys) {
          Case c = causal_case({1, 2 * group, 2, queries, keys, dim, v_dim}, variant % 2 == 1,
                               static_cast<unsigned>(keys + variant));
          if (variant == 1) c.window = 21;
          if (variant == 2) c.softcap = 2.5;
          if (variant == 3) {
            for (int64_t head = 0; head < 2 * group; ++head) c.slopes.push_back(0.5f / static_cast<float>(head + 1));
          }
          cases.push_back(c);
        }
        CAPTURE(static_cast<int64_t>(type));
        CAPTURE(group);
        CAPTURE(variant);
        check_bits(cases, type, variant % 2 == 0 ? 32 : 16, {{256, 1}, {7, 5}, {1, 100}}, padded_rows_of(cases));
      }
    }
  }
}

TEST_CASE("paged attention: a step of padding alone is 0") {
  std::vector<Case> cases = {causal_case({1, 2, 1, 1, 1, 16, 16}, false, 1)};
  Rows rows;
  for (int i = 0; i < 5; ++i) rows.pad();
  for (const KernelTrio& kernel : kernels()) {
    Cache cache(KeyValueType::f32, cases[0].shape, 16, 0, {1});
    for (int64_t lists : {1, 2, 7}) {
      PagedRun attend(cases, cache, rows, 1, lists);
      REQUIRE(attend.run(kernel.attend) == KernelStatus::ok);
      for (float x : dense({1, 2, 1, 5, 1, 16, 16}, attend.out)) CHECK(x == 0);
    }
  }
}

TEST_CASE("paged attention of one query has the same bits however many heads share its keys") {
  for (int64_t group : {4, 5, 7, 8, 9}) {
    std::vector<Case> cases = {
        causal_case({1, 2 * group, 2, 1, kBlock + 41, 32, 40}, true, static_cast<unsigned>(group))};
    CAPTURE(group);
    check_bits(cases, KeyValueType::f32, 32, {{1, 1}}, rows_of(cases));
  }
}

TEST_CASE("paged attention: the largest items, and more rows than fit into scratch at a time") {
  std::vector<Case> most = {causal_case({1, 3, 1, kMostItemQueries, kMostItemQueries + 9, 8, 16}, true, 3)};
  check_bits(most, KeyValueType::f16, 32, {{kMostItemQueries, 1}}, rows_of(most));
  std::vector<Case> wide = {causal_case({1, 4, 1, 60, 70, 512, 512}, true, 3)};
  check_bits(wide, KeyValueType::f32, 32, {{60, 1}}, rows_of(wide));
}

TEST_CASE("paged attention: the blocks of its result equal what quantize_rows computes from it") {
  for (const Isa isa : instruction_sets()) {
    for (int64_t q_len : {1, 3}) {
      std::vector<Case> cases;
      for (int64_t kv_len : {70, 9, 33}) cases.push_back(causal_case({1, 6, 2, q_len, kv_len, 32, 64}, q_len == 3, 9));
      const Shape& s = cases[0].shape;
      Cache cache(KeyValueType::f32, s, 32, 0, lengths_of(cases));
      fill(kernel_named("store_key_values", isa), cases, cache);
      PagedRun attend(cases, cache, padded_rows_of(cases), 2, 4);
      const int64_t rows = attend.rows.count();
      ActivationBlock garbage;
      std::memset(&garbage, 0xee, sizeof garbage);
      std::vector<ActivationBlock> blocks(static_cast<size_t>(rows * s.heads * s.v_dim / kActivationBlock), garbage);
      std::vector<ActivationBlock> expected(blocks.size());
      attend.params.blocks = blocks.data();
      REQUIRE(attend.run(kernel_named("paged_attention", isa)) == KernelStatus::ok);
      QuantizeRowsParams quantize = {};
      quantize.x = attend.out.data(), quantize.y = expected.data();
      quantize.columns = s.v_dim, quantize.tile_rows = 100;
      quantize.outer = {{1, 1, rows, s.heads}};
      quantize.x_outer = {{0, 0, attend.out.row_stride, attend.out.head_stride}};
      REQUIRE(run(kernel_named("quantize_rows", isa), quantize, 1) == KernelStatus::ok);
      CHECK(std::memcmp(blocks.data(), expected.data(), blocks.size() * sizeof(ActivationBlock)) == 0);
    }
  }
}

TEST_CASE("paged attention that normalises, rotates and stores its rows has the bits of the ops one by one") {
  std::vector<float> frequencies(12);
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] = 1 / static_cast<float>(1 + 3 * i);
  const std::vector<float> weights = head_weights();
  for (const Isa isa : instruction_sets()) {
    const Kernel store = kernel_named("store_key_values", isa), attention = kernel_named("paged_attention", isa);
    for (const KeyValueType type : kTypes) {
      for (int64_t variant = 0; variant < 12; ++variant) {
        const int64_t q_len = variant % 6 < 4 ? 1 : 3, style = variant % 3;  // the third: no rotation
        const bool is_normed = variant >= 6;
        const int64_t dim = head_dims(type)[static_cast<size_t>(variant % 4)];
        CAPTURE(std::string(kernel_set(isa).isa));
        CAPTURE(static_cast<int64_t>(type));
        CAPTURE(variant);
        std::vector<Case> cases;
        for (int64_t kv_len : {70, 9, 33, 300}) {
          cases.push_back(causal_case({1, 10, 2, q_len, kv_len, dim, 64}, variant % 2 == 1, static_cast<unsigned>(kv_len)));
        }
        const Shape& s = cases[0].shape;
        const Rows rows = padded_rows_of(cases);
        Operand<float> k(1, s.kv_heads, rows.count(), s.dim, cases[0].gaps, 0), v(1, s.kv_heads, rows.count(), s.v_dim, true, 0);
        for (size_t row = 0; row < rows.positions.size(); ++row) {
          if (rows.sources[row] < 0) continue;
          Case& c = cases[static_cast<size_t>(rows.sources[row])];
          copy_row(k, static_cast<int64_t>(row), c.k, rows.positions[row]);
          copy_row(v, static_cast<int64_t>(row), c.v, rows.positions[row]);
        }
        Cache apart(type, s, 32, 1, lengths_of(cases)), together(type, s, 32, 1, lengths_of(cases));
        fill(store, cases, apart), fill(store, cases, together);
        const Rotation rotation{frequencies.data(), 1.1, style, 24};
        const HeadNorms norms{weights.data(), weights.data() + dim, 1e-3};

        Operand<float> turned = k;
        PagedRun expected(cases, apart, rows, 300, 4);
        const auto turn = [&](Operand<float>& x) {
          RopeParams p = {x.data(), x.data(), rows.positions.data(), rotation, s.dim, 100, {{1, 1, rows.count(), x.heads}}, {}, {}, {}};
          p.x_outer = p.y_outer = {{0, 0, x.row_stride, x.head_stride}}, p.positions_outer = {{0, 0, 1, 0}};
          REQUIRE(run(kernel_named("rope", isa), p, 1) == KernelStatus::ok);
        };
        const auto norm = [&](Operand<float>& x, const float* weight) {
          RmsNormParams p = {x.data(), x.data(), weight, norms.eps, s.dim, 100, {{1, 1, rows.count(), x.heads}}, {}, {}, nullptr};
          p.x_outer = p.y_outer = {{0, 0, x.row_stride, x.head_stride}};
          REQUIRE(run(kernel_named("rms_norm", isa), p, (rows.count() * x.heads + 99) / 100) == KernelStatus::ok);
        };
        if (is_normed) norm(expected.q, norms.q_weight), norm(turned, norms.k_weight);
        if (style < 2) turn(expected.q), turn(turned);
        const StoreKeyValuesParams stored = store_params(s, turned, v, rows, apart);
        REQUIRE(run(store, stored, store_tiles(stored)) == KernelStatus::ok);
        REQUIRE(expected.run(attention) == KernelStatus::ok);

        PagedRun fused(cases, together, rows, 300, 4);
        AttentionParams& a = fused.params.attention;
        a.k = k.data(), a.k_head = k.head_stride, a.k_row = k.row_stride;
        a.v = v.data(), a.v_head = v.head_stride, a.v_row = v.row_stride;
        if (is_normed) fused.params.norms = norms;
        if (style < 2) fused.params.rotation = rotation;
        REQUIRE(fused.run(attention) == KernelStatus::ok);
        for (size_t sequence = 0; sequence < cases.size(); ++sequence) {
          CHECK(same_bits(fused.of(sequence), expected.of(sequence)));
        }
        for (size_t page = 0; page < apart.memory.size(); ++page) {
          CHECK(std::memcmp(apart.memory[page].get(), together.memory[page].get(), static_cast<size_t>(apart.page_bytes)) == 0);
        }
        fused.rows.positions[static_cast<size_t>(rows.count() - 2)] = -1;
        CHECK(fused.run(attention) == KernelStatus::index_out_of_range);
      }
    }
  }
}

TEST_CASE("paged attention refuses positions, slots and pages that do not exist") {
  std::vector<Case> cases = {causal_case({1, 2, 1, 2, 40, 32, 32}, false, 7),
                             causal_case({1, 2, 1, 1, 40, 32, 32}, false, 8)};
  for (const KernelTrio& kernel : kernels()) {
    // Pages of 16 positions: three for each sequence, and room for a fourth.
    Cache cache(KeyValueType::f32, cases[0].shape, 16, 0, lengths_of(cases), 1);
    fill(kernel.store, cases, cache);
    const auto attend = [&](auto change) {
      PagedRun run(cases, cache, rows_of(cases), 2, 1);
      change(run);
      return run.run(kernel.attend);
    };
    const auto at = [&](int32_t position) { return attend([&](PagedRun& run) { run.rows.positions[1] = position; }); };
    const auto in = [&](int32_t slot) {
      return attend([&](PagedRun& run) { run.rows.sequences[2] = run.work.items[1].slot = slot; });
    };
    CHECK(attend([](PagedRun&) {}) == KernelStatus::ok);
    for (int32_t position : {-1, 0, 47}) CHECK(at(position) == KernelStatus::ok);
    for (int32_t position : {48, 63, 64, 1 << 30, INT32_MAX}) CHECK(at(position) == KernelStatus::index_out_of_range);
    CHECK(in(Cache::slot_of(0)) == KernelStatus::ok);
    for (int32_t slot : {-2, 0, 2, 4, 5, 1 << 30, INT32_MIN}) CHECK(in(slot) == KernelStatus::index_out_of_range);
    const int32_t number = cache.number(0, 1);
    for (int32_t wrong : {-2, -1, 0, 2, static_cast<int32_t>(cache.directory.size()), 1 << 30, INT32_MIN}) {
      cache.number(0, 1) = wrong;
      CHECK(attend([](PagedRun&) {}) == KernelStatus::index_out_of_range);
    }
    cache.number(0, 1) = number;
    // A page of which no key is read may be missing.
    cache.number(0, 2) = -1;
    CHECK(attend([](PagedRun&) {}) == KernelStatus::index_out_of_range);
    CHECK(attend([](PagedRun& run) { run.rows.positions = {30, 31, 39}; }) == KernelStatus::ok);
  }
}

TEST_CASE("paged attention refuses a work list that is not valid") {
  std::vector<Case> cases = {causal_case({1, 2, 1, 3, 40, 32, 32}, false, 7),
                             causal_case({1, 2, 1, 2, 40, 32, 32}, false, 8)};
  const int32_t slot = Cache::slot_of(0);
  const std::vector<AttentionItem> wrong_items = {
      {-1, 1, slot, 0},       {5, 1, slot, 0},      {2, 4, slot, 0},         {0, 0, slot, 0},  {0, -1, slot, 0},
      {0, INT32_MAX, slot, 0}, {INT32_MAX, 1, slot, 0}, {INT32_MIN, 1, slot, 0}, {0, 4, slot, 0}, {2, 2, slot, 0},
      {0, 1, slot + 2, 0},    {0, 1, -1, 0},        {0, 1, slot, 1},
  };
  for (const KernelTrio& kernel : kernels()) {
    Cache cache(KeyValueType::f32, cases[0].shape, 16, 0, lengths_of(cases));
    fill(kernel.store, cases, cache);
    const auto attend = [&](auto change) {
      PagedRun run(cases, cache, rows_of(cases), 2, 2);
      change(run);
      return run.run(kernel.attend);
    };
    CHECK(attend([](PagedRun&) {}) == KernelStatus::ok);
    for (const AttentionItem& item : wrong_items) {
      CAPTURE(item.first_query);
      CAPTURE(item.queries);
      CHECK(attend([&](PagedRun& run) { run.work.items[1] = item; }) == KernelStatus::index_out_of_range);
    }
    for (const std::vector<int32_t>& starts :
         std::vector<std::vector<int32_t>>{{-1, 1, 3}, {0, 2, 1}, {0, 1, 6}, {0, 4, 3}, {0, INT32_MAX, 3}, {INT32_MIN, 1, 3}}) {
      CHECK(attend([&](PagedRun& run) { std::copy(starts.begin(), starts.end(), run.work.starts.begin()); }) ==
            KernelStatus::index_out_of_range);
    }
  }
  // An item of more queries than an item may have.
  std::vector<Case> large = {causal_case({1, 1, 1, kMostItemQueries + 1, kMostItemQueries + 1, 8, 8}, false, 9)};
  for (const KernelTrio& kernel : kernels()) {
    Cache cache(KeyValueType::f32, large[0].shape, 32, 0, lengths_of(large));
    fill(kernel.store, large, cache);
    PagedRun run(large, cache, rows_of(large), kMostItemQueries + 1, 1);
    CHECK(run.run(kernel.attend) == KernelStatus::index_out_of_range);
  }
}
