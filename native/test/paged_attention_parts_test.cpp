// Tests of paged_attention_parts and merge_attention_parts: both together have the bits of paged_attention for every cut of
// the key blocks, every type of cache and number of heads, and agree with float64; what does not exist is refused.
#include <doctest/doctest.h>

#include "kernels/merge_attention_parts.h"
#include "kernels/paged_attention_parts.h"
#include "paged_case.h"

using namespace tesserae;
using namespace tesserae::paged_testing;

namespace {

constexpr int64_t kBlock = kAttentionKeyBlock;

// The parts of the rows of a run of paged_attention, and the work list that computes them: runs of at most `most` blocks,
// spread over the lists.
struct PartsRun {
  PagedAttentionPartsParams params = {};
  MergeAttentionPartsParams merge = {};
  std::vector<int32_t> part_starts = {0};
  std::vector<AttentionRun> runs;
  std::vector<int32_t> starts;
  std::vector<float> lines;
  int64_t groups;

  PartsRun(PagedRun& paged, int64_t most, int64_t lists, int64_t tile_heads) {
    const PagedAttentionParams& p = paged.params;
    const AttentionParams& a = p.attention;
    AttentionParams sizes = a;
    sizes.kv_len = p.cache.slot_pages * p.cache.page_positions;
    for (int64_t row = 0; row < a.q_len; ++row) {
      const auto at = static_cast<size_t>(row);
      const int32_t slot = paged.rows.sequences[at];
      const int64_t first = attention_first(sizes, 0, row) / kBlock;
      const int64_t end = slot < 0 ? first : (attention_limit(sizes, 0, row) + kBlock - 1) / kBlock;
      for (int64_t block = first; block < end; block += most) {
        runs.push_back({static_cast<int32_t>(row), slot, static_cast<int32_t>(block),
                        static_cast<int32_t>(std::min(most, end - block))});
      }
      part_starts.push_back(part_starts.back() + static_cast<int32_t>(end - first));
    }
    const auto count = static_cast<int64_t>(runs.size());
    for (int64_t list = 0; list <= lists; ++list) starts.push_back(static_cast<int32_t>(count * list / lists));
    // More lists than a plan has need more room than this for their runs.
    runs.resize(static_cast<size_t>(std::max(count, a.q_len + lists)), {-1, -1, -1, -1});
    const int64_t parts = part_starts.back();
    lines.assign(static_cast<size_t>(parts * a.heads * part_line(a.v_dim)), NAN);
    params.attention = a, params.attention.out = nullptr;
    params.cache = p.cache, params.sequences = p.sequences, params.norms = p.norms, params.rotation = p.rotation;
    params.starts = starts.data(), params.runs = runs.data(), params.lists = lists;
    params.parts = {lines.data(), part_starts.data(), parts};
    groups = a.q_len * ((a.heads + tile_heads - 1) / tile_heads);
    merge = {a.out, a.q_len, a.heads, a.v_dim, a.out_row, a.out_head, tile_heads, 3, params.parts, p.blocks};
  }

  KernelStatus compute(Isa isa) {
    return run(kernel_named("paged_attention_parts", isa), params, params.attention.kv_heads * params.lists);
  }
  KernelStatus merge_all(Isa isa) { return run(kernel_named("merge_attention_parts", isa), merge, (groups + 2) / 3); }
  KernelStatus run_both(Isa isa) {
    const KernelStatus status = compute(isa);
    return status == KernelStatus::ok ? merge_all(isa) : status;
  }
};

struct Cut {
  int64_t most, lists, tile_heads;
};
constexpr Cut kCuts[] = {{1, 3, 8}, {2, 1, 3}, {3, 2, 1}, {100, 1, 5}};

Case one_query(int64_t heads, int64_t kv_heads, int64_t kv_len, int64_t dim, int64_t v_dim, int64_t seed) {
  return causal_case({1, heads, kv_heads, 1, kv_len, dim, v_dim}, seed % 2 == 1, static_cast<unsigned>(seed));
}

void check_bits(std::vector<Case>& cases, KeyValueType type, int64_t page_positions) {
  std::vector<Case> stored;
  for (const Case& c : cases) stored.push_back(rounded(c, type));
  const Rows rows = padded_rows_of(cases);
  for (const Isa isa : instruction_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    Cache cache(type, cases[0].shape, page_positions, 1, lengths_of(cases));
    fill(kernel_named("store_key_values", isa), cases, cache);
    PagedRun expected(cases, cache, rows, 1, 2);
    REQUIRE(expected.run(kernel_named("paged_attention", isa)) == KernelStatus::ok);
    for (const Cut& cut : kCuts) {
      CAPTURE(cut.most);
      PagedRun attend(cases, cache, rows, 1, 1);
      // The lists have room for all runs.
      PartsRun parts(attend, cut.most, cut.most == 1 ? 40 : cut.lists, cut.tile_heads);
      REQUIRE(static_cast<int64_t>(parts.runs.size()) == rows.count() + parts.params.lists);
      REQUIRE(parts.run_both(isa) == KernelStatus::ok);
      for (size_t sequence = 0; sequence < cases.size(); ++sequence) {
        CAPTURE(sequence);
        const std::vector<float> result = attend.of(sequence);
        CHECK(same_bits(result, expected.of(sequence)));
        const std::vector<double> oracle = stored[sequence].oracle();
        double error = 0, power = 0;
        for (size_t i = 0; i < oracle.size(); ++i) {
          error += (result[i] - oracle[i]) * (result[i] - oracle[i]);
          power += oracle[i] * oracle[i];
        }
        CHECK(error <= 1e-12 * power);
      }
      const std::vector<float> padding = attend.of_padding();
      CHECK(std::all_of(padding.begin(), padding.end(), [](float x) { return x == 0; }));
    }
  }
}

}  // namespace

TEST_CASE("attention in parts has the bits of paged attention around the borders of key blocks") {
  for (KeyValueType type : kTypes) {
    CAPTURE(static_cast<int64_t>(type));
    std::vector<Case> cases;
    for (int64_t kv_len : {int64_t{1}, kBlock - 1, kBlock, kBlock + 1, 2 * kBlock - 1, 2 * kBlock, 2 * kBlock + 1, 4 * kBlock + 77}) {
      cases.push_back(one_query(6, 2, kv_len, 32, 64, 1));
    }
    check_bits(cases, type, type == KeyValueType::f16 ? 16 : 32);
  }
}

TEST_CASE("attention in parts: heads that share their keys, windows, caps and slopes, heads of any width") {
  for (int64_t group : {1, 3, 4, 5, 8, 9, 14}) {
    for (int64_t variant = 0; variant < 3; ++variant) {
      CAPTURE(group);
      CAPTURE(variant);
      std::vector<Case> cases;
      for (int64_t kv_len : {3 * kBlock + 5, int64_t{40}, 2 * kBlock}) {
        Case c = one_query(2 * group, 2, kv_len, 24 + variant, variant == 2 ? 37 : 40, variant);
        if (variant == 1) c.window = 300, c.softcap = 2;
        if (variant == 2) c.slopes.assign(static_cast<size_t>(2 * group), 0.01f);
        cases.push_back(c);
      }
      check_bits(cases, KeyValueType::f32, 32);
    }
  }
  std::vector<Case> wide = {one_query(4, 1, kBlock + 9, 512, 512, 3)};
  check_bits(wide, KeyValueType::f32, 32);
}

TEST_CASE("attention in parts: the bits of special values, and rows whose keys do not count") {
  for (const float value : {INFINITY, -INFINITY, static_cast<float>(NAN), -0.0f, 1e-42f, 1e38f}) {
    CAPTURE(value);
    std::vector<Case> cases = {one_query(6, 2, 2 * kBlock + 40, 32, 32, 5)};
    Case& c = cases[0];
    for (int64_t d = 0; d < 32; ++d) {
      c.k.at(0, 0, 300, d) = value;
      for (int64_t key = 0; key < kBlock; ++key) c.v.at(0, 1, key, d) = value;
    }
    for (const Isa isa : instruction_sets()) {
      Cache cache(KeyValueType::f32, c.shape, 32, 0, lengths_of(cases));
      fill(kernel_named("store_key_values", isa), cases, cache);
      PagedRun expected(cases, cache, rows_of(cases), 1, 1), attend(cases, cache, rows_of(cases), 1, 1);
      REQUIRE(expected.run(kernel_named("paged_attention", isa)) == KernelStatus::ok);
      PartsRun parts(attend, 2, 2, 4);
      REQUIRE(parts.run_both(isa) == KernelStatus::ok);
      CHECK(same_bits(attend.of(0), expected.of(0)));
    }
  }
}

TEST_CASE("attention in parts that normalises, rotates and stores its rows has the bits of paged attention that does") {
  std::vector<float> frequencies(12);
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] = 1 / static_cast<float>(1 + 3 * i);
  const std::vector<float> weights = head_weights();
  for (const Isa isa : instruction_sets()) {
    for (const KeyValueType type : kTypes) {
      for (int64_t variant = 0; variant < 6; ++variant) {
        const int64_t style = variant % 3;  // the third: no rotation
        const bool is_normed = variant >= 3;
        CAPTURE(std::string(kernel_set(isa).isa));
        CAPTURE(static_cast<int64_t>(type));
        CAPTURE(variant);
        const int64_t dim = head_dims(type)[static_cast<size_t>(variant % 4)];
        std::vector<Case> cases;
        for (int64_t kv_len : {70, 600, 257, 512}) cases.push_back(one_query(10, 2, kv_len, dim, 64, style));
        const Shape& s = cases[0].shape;
        const Rows rows = padded_rows_of(cases);
        Operand<float> k(1, s.kv_heads, rows.count(), s.dim, cases[0].gaps, 0), v(1, s.kv_heads, rows.count(), s.v_dim, true, 0);
        for (int64_t row = 0; row < rows.count(); ++row) {
          const int64_t source = rows.sources[static_cast<size_t>(row)];
          if (source < 0) continue;
          copy_row(k, row, cases[static_cast<size_t>(source)].k, rows.positions[static_cast<size_t>(row)]);
          copy_row(v, row, cases[static_cast<size_t>(source)].v, rows.positions[static_cast<size_t>(row)]);
        }
        Cache apart(type, s, 32, 1, lengths_of(cases)), together(type, s, 32, 1, lengths_of(cases));
        fill(kernel_named("store_key_values", isa), cases, apart), fill(kernel_named("store_key_values", isa), cases, together);
        Operand<float> turned = k;
        const auto own = [&](PagedRun& run, Operand<float>& keys) {
          AttentionParams& a = run.params.attention;
          a.k = keys.data(), a.k_head = keys.head_stride, a.k_row = keys.row_stride;
          a.v = v.data(), a.v_head = v.head_stride, a.v_row = v.row_stride;
          if (is_normed) run.params.norms = {weights.data(), weights.data() + dim, 1e-3};
          if (style < 2) run.params.rotation = {frequencies.data(), 1.1, style, 24};
        };
        const size_t blocks_of_all = static_cast<size_t>(rows.count() * s.heads * s.v_dim / kActivationBlock);
        std::vector<ActivationBlock> expected_blocks(blocks_of_all), blocks(blocks_of_all);
        PagedRun expected(cases, together, rows, 1, 4), attend(cases, apart, rows, 1, 4);
        own(expected, turned), own(attend, k);
        expected.params.blocks = expected_blocks.data(), attend.params.blocks = blocks.data();
        REQUIRE(expected.run(kernel_named("paged_attention", isa)) == KernelStatus::ok);
        PartsRun parts(attend, 1, 20, 5);
        // Twice: a tile changes none of its operands.
        REQUIRE(parts.compute(isa) == KernelStatus::ok);
        REQUIRE(parts.run_both(isa) == KernelStatus::ok);
        for (size_t sequence = 0; sequence < cases.size(); ++sequence) {
          CHECK(same_bits(attend.of(sequence), expected.of(sequence)));
        }
        CHECK(std::memcmp(blocks.data(), expected_blocks.data(), blocks.size() * sizeof(ActivationBlock)) == 0);
        for (size_t page = 0; page < apart.memory.size(); ++page) {
          CHECK(std::memcmp(apart.memory[page].get(), together.memory[page].get(), static_cast<size_t>(apart.page_bytes)) == 0);
        }
      }
    }
  }
}

TEST_CASE("attention in parts refuses runs, parts, positions and pages that do not exist") {
  std::vector<Case> cases = {one_query(2, 1, 2 * kBlock + 40, 32, 32, 7), one_query(2, 1, 40, 32, 32, 8)};
  const int32_t slot = Cache::slot_of(0);
  const std::vector<AttentionRun> wrong_runs = {
      {-1, slot, 0, 1}, {2, slot, 0, 1},  {INT32_MAX, slot, 0, 1}, {1, slot, 0, 1},         {0, slot + 2, 0, 1},
      {0, -1, 0, 1},    {0, slot, -1, 1}, {0, slot, 0, 0},         {0, slot, 0, 4},         {0, slot, 3, 1},
      {0, slot, 0, -1}, {0, slot, 1, INT32_MAX}, {0, slot, INT32_MAX, INT32_MAX}, {0, slot, INT32_MIN, 1},
  };
  for (const Isa isa : instruction_sets()) {
    Cache cache(KeyValueType::f32, cases[0].shape, 16, 0, lengths_of(cases), 1);
    fill(kernel_named("store_key_values", isa), cases, cache);
    const auto attend = [&](auto change) {
      PagedRun paged(cases, cache, rows_of(cases), 1, 1);
      PartsRun parts(paged, 3, 2, 2);
      change(paged, parts);
      return parts.run_both(isa);
    };
    CHECK(attend([](PagedRun&, PartsRun&) {}) == KernelStatus::ok);
    for (const AttentionRun& wrong : wrong_runs) {
      CHECK(attend([&](PagedRun&, PartsRun& parts) { parts.runs[0] = wrong; }) == KernelStatus::index_out_of_range);
    }
    for (const std::vector<int32_t>& starts : std::vector<std::vector<int32_t>>{{-1, 1, 2}, {0, 2, 1}, {0, 1, 5}, {0, INT32_MAX, 2}}) {
      CHECK(attend([&](PagedRun&, PartsRun& parts) { std::copy(starts.begin(), starts.end(), parts.starts.begin()); }) ==
            KernelStatus::index_out_of_range);
    }
    for (const std::vector<int32_t>& starts : std::vector<std::vector<int32_t>>{{-1, 2, 4}, {0, 2, 4}, {0, 4, 4}, {3, 0, 4}, {2, 5, 6}}) {
      const auto set = [&](PartsRun& parts) { std::copy(starts.begin(), starts.end(), parts.part_starts.begin()); };
      CHECK(attend([&](PagedRun&, PartsRun& parts) { set(parts); }) == KernelStatus::index_out_of_range);
    }
    for (const std::vector<int32_t>& starts : std::vector<std::vector<int32_t>>{{-1, 3, 4}, {0, 5, 4}, {4, 3, 4}, {0, INT32_MAX, 4}}) {
      PagedRun paged(cases, cache, rows_of(cases), 1, 1);
      PartsRun parts(paged, 3, 2, 2);
      REQUIRE(parts.compute(isa) == KernelStatus::ok);
      std::copy(starts.begin(), starts.end(), parts.part_starts.begin());
      CHECK(parts.merge_all(isa) == KernelStatus::index_out_of_range);
    }
    // A row whose number of blocks is not that of its parts: its position has changed since the plan.
    for (int32_t position : {0, 300, 1 << 30}) {
      CHECK(attend([&](PagedRun& paged, PartsRun&) { paged.rows.positions[0] = position; }) == KernelStatus::index_out_of_range);
    }
    const int32_t number = cache.number(0, 20);
    for (int32_t wrong : {-1, 0, static_cast<int32_t>(cache.directory.size()), INT32_MIN}) {
      cache.number(0, 20) = wrong;
      CHECK(attend([](PagedRun&, PartsRun&) {}) == KernelStatus::index_out_of_range);
    }
    cache.number(0, 20) = number;
  }
}
