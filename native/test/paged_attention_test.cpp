// Tests of paged_attention and store_key_values: for every type and every order of filling pages, the result has the
// bits of `attention` over the same values; positions and pages that do not exist are refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "attention_case.h"
#include "kernels/half.h"
#include "kernels/paged_attention.h"
#include "kernels/quantize_rows.h"
#include "kernels/store_key_values.h"
#include "kernel_sets.h"

using namespace tesserae;
using namespace tesserae::attention_testing;

namespace {

struct KernelPair {
  Kernel store;
  Kernel attend;
  Kernel whole;
};

std::vector<KernelPair> kernels() {
  std::vector<KernelPair> all;
  for (const Isa isa : instruction_sets()) {
    all.push_back({kernel_named("store_key_values", isa), kernel_named("paged_attention", isa),
                   kernel_named("attention", isa)});
  }
  return all;
}

template <typename Params>
KernelStatus run(Kernel kernel, const Params& params, int64_t tiles) {
  auto op = std::make_unique<OpRecord>();
  std::memcpy(op->params, &params, sizeof params);
  std::vector<unsigned char> memory(kScratchBytes + kCacheLineBytes, 0xff);  // NaNs
  auto* aligned = memory.data() + (kCacheLineBytes - reinterpret_cast<uintptr_t>(memory.data()) % kCacheLineBytes);
  Scratch scratch = {aligned, kScratchBytes};
  for (int64_t tile = tiles; tile-- > 0;) {
    const KernelStatus status = kernel(*op, tile, scratch);
    if (status != KernelStatus::ok) return status;
  }
  return KernelStatus::ok;
}

constexpr int64_t kLayers = 2;

// A cache of separately allocated pages, filled with NaN. It has kLayers layers; the one not under test is a guard.
struct Cache {
  KeyValuePages layout = {};
  std::vector<std::unique_ptr<unsigned char, decltype(&std::free)>> memory;
  std::vector<int64_t> table;
  int64_t page_bytes;

  Cache(KeyValueType type, const Shape& s, int64_t page_positions, int64_t layer) {
    layout.page_positions = page_positions;
    layout.type = type;
    const auto round = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
    const int64_t key_bytes = round(s.kv_heads * key_value_head_bytes(layout, s.dim));
    const int64_t layer_bytes = key_bytes + round(s.kv_heads * key_value_head_bytes(layout, s.v_dim));
    layout.keys_offset = layer * layer_bytes;
    layout.values_offset = layout.keys_offset + key_bytes;
    page_bytes = kLayers * layer_bytes;
    const int64_t pages = (s.kv_len + page_positions - 1) / page_positions;
    for (int64_t i = 0; i < pages; ++i) {
      memory.emplace_back(static_cast<unsigned char*>(std::aligned_alloc(64, static_cast<size_t>(page_bytes))), &std::free);
      std::memset(memory.back().get(), 0xff, static_cast<size_t>(page_bytes));
    }
    // The pages are not in the order of their positions.
    for (int64_t i = 0; i < pages; ++i) {
      table.push_back(reinterpret_cast<int64_t>(memory[static_cast<size_t>((i * 7 + 3) % pages)].get()));
    }
    layout.pages = table.data();
    layout.page_count = pages;
  }
};

StoreKeyValuesParams store_params(Case& c, const Cache& cache, const std::vector<int32_t>& positions) {
  StoreKeyValuesParams p = {};
  p.k = c.k.data(), p.v = c.v.data(), p.positions = positions.data();
  p.tokens = static_cast<int64_t>(positions.size());
  p.kv_heads = c.shape.kv_heads, p.dim = c.shape.dim, p.v_dim = c.shape.v_dim;
  p.k_token = c.k.row_stride, p.k_head = c.k.head_stride;
  p.v_token = c.v.row_stride, p.v_head = c.v.head_stride;
  p.tile_tokens = 5;
  p.cache = cache.layout;
  return p;
}

// Stores all keys and values of the case: token t at position t.
void fill(Kernel kernel, Case& c, Cache& cache) {
  std::vector<int32_t> positions(static_cast<size_t>(c.shape.kv_len));
  std::iota(positions.begin(), positions.end(), 0);
  const StoreKeyValuesParams p = store_params(c, cache, positions);
  REQUIRE(run(kernel, p, (p.tokens + p.tile_tokens - 1) / p.tile_tokens) == KernelStatus::ok);
}

float quantized_value(float x, float scale) {
  if (!std::isfinite(scale)) return std::numeric_limits<float>::quiet_NaN();
  const double integer = scale == 0 ? 0 : std::nearbyint(static_cast<double>(x * (1 / scale)));
  return static_cast<float>(std::min(127.0, std::max(-127.0, integer)) * scale);
}

// Rounds a row to the values that a cache of this type returns for it.
void round_row(KeyValueType type, float* row, int64_t columns) {
  if (type == KeyValueType::f32) return;
  for (int64_t first = 0; first < columns; first += kQuantizedBlock) {
    float most = 0;
    for (int64_t i = 0; i < kQuantizedBlock && type == KeyValueType::q8_0; ++i) {
      most = std::max(most, std::fabs(row[first + i]));
    }
    const float scale = half_to_float(float_to_half(most / 127));
    for (int64_t i = first; i < std::min(first + kQuantizedBlock, columns); ++i) {
      row[i] = type == KeyValueType::f16 ? half_to_float(float_to_half(row[i])) : quantized_value(row[i], scale);
    }
  }
}

Case rounded(const Case& c, KeyValueType type) {
  Case copy = c;
  for (int64_t h = 0; h < c.shape.kv_heads; ++h) {
    for (int64_t j = 0; j < c.shape.kv_len; ++j) {
      round_row(type, &copy.k.at(0, h, j, 0), c.shape.dim);
      round_row(type, &copy.v.at(0, h, j, 0), c.shape.v_dim);
    }
  }
  return copy;
}

std::vector<float> attend_pages(Kernel kernel, Case& c, const Cache& cache, int64_t tile_heads, int64_t tile_queries) {
  const Shape& s = c.shape;
  Operand<float> out(1, s.heads, s.q_len, s.v_dim, c.gaps, NAN);
  PagedAttentionParams p = {};
  p.attention = c.params(out, tile_heads, tile_queries);
  p.attention.k = p.attention.v = nullptr;
  p.attention.kv_len = cache.layout.page_count * cache.layout.page_positions;
  p.cache = cache.layout;
  REQUIRE(run(kernel, p, c.tile_count(tile_heads, tile_queries)) == KernelStatus::ok);
  return dense(s, out);
}

std::vector<float> attend_whole(Kernel kernel, Case& c) {
  const Shape& s = c.shape;
  Operand<float> out(1, s.heads, s.q_len, s.v_dim, c.gaps, NAN);
  const AttentionParams p = c.params(out, s.heads / s.kv_heads, s.q_len);
  REQUIRE(run(kernel, p, c.tile_count(s.heads / s.kv_heads, s.q_len)) == KernelStatus::ok);
  return dense(s, out);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Case causal_case(const Shape& s, bool gaps, unsigned seed) {
  Case c(s, gaps, seed);
  c.causal = true;
  for (int64_t i = 0; i < s.q_len; ++i) c.positions.push_back(static_cast<int32_t>(s.kv_len - s.q_len + i));
  return c;
}

constexpr KeyValueType kTypes[] = {KeyValueType::f32, KeyValueType::f16, KeyValueType::q8_0};
constexpr int64_t kBlock = kAttentionKeyBlock;

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
          Case c = causal_case({1, 6, 2, q_len, kv_len, dim, v_dim}, q_len % 2 == 1, static_cast<unsigned>(kv_len));
          if (kv_len == 33) c.window = 9, c.softcap = 3;
          Case stored = rounded(c, type);
          for (const KernelPair& kernel : kernels()) {
            CAPTURE(static_cast<int64_t>(type));
            CAPTURE(kv_len);
            CAPTURE(q_len);
            CAPTURE(width);
            Cache cache(type, c.shape, kv_len % 2 == 0 ? 16 : 32, 1);
            fill(kernel.store, c, cache);
            const std::vector<float> expected = attend_whole(kernel.whole, stored);
            CHECK(same_bits(attend_pages(kernel.attend, c, cache, 3, q_len), expected));
            CHECK(same_bits(attend_pages(kernel.attend, c, cache, 1, 1), expected));
            CHECK(same_bits(attend_pages(kernel.attend, c, cache, 3, 1), expected));
          }
        }
      }
    }
  }
}

TEST_CASE("paged attention of one query has the same bits however many heads share their keys") {
  for (int64_t group : {4, 5, 7, 8, 9}) {
    Case c = causal_case({1, 2 * group, 2, 1, kBlock + 41, 32, 40}, true, static_cast<unsigned>(group));
    for (const KernelPair& kernel : kernels()) {
      CAPTURE(group);
      Cache cache(KeyValueType::f32, c.shape, 32, 1);
      fill(kernel.store, c, cache);
      const std::vector<float> expected = attend_whole(kernel.whole, c);
      CHECK(same_bits(attend_pages(kernel.attend, c, cache, group, 1), expected));
      CHECK(same_bits(attend_pages(kernel.attend, c, cache, 1, 1), expected));
    }
  }
}

TEST_CASE("paged attention: the blocks of its result equal what quantize_rows computes from it") {
  for (const Isa isa : instruction_sets()) {
    for (int64_t q_len : {1, 3}) {
      Case c = causal_case({1, 6, 2, q_len, 70, 32, 64}, q_len == 3, 9);
      Cache cache(KeyValueType::f32, c.shape, 32, 0);
      fill(kernel_named("store_key_values", isa), c, cache);
      const Shape& s = c.shape;
      Operand<float> out(1, s.heads, s.q_len, s.v_dim, c.gaps, NAN);
      std::vector<ActivationBlock> blocks(static_cast<size_t>(s.q_len * s.heads * s.v_dim / kActivationBlock));
      std::vector<ActivationBlock> expected(blocks.size());
      PagedAttentionParams p = {};
      p.attention = c.params(out, 2, 1);
      p.attention.kv_len = 96;
      p.cache = cache.layout;
      p.blocks = blocks.data();
      REQUIRE(run(kernel_named("paged_attention", isa), p, c.tile_count(2, 1)) == KernelStatus::ok);
      QuantizeRowsParams rows = {};
      rows.x = out.data(), rows.y = expected.data();
      rows.columns = s.v_dim, rows.tile_rows = 100;
      rows.outer = {{1, 1, s.q_len, s.heads}};
      rows.x_outer = {{0, 0, out.row_stride, out.head_stride}};
      REQUIRE(run(kernel_named("quantize_rows", isa), rows, 1) == KernelStatus::ok);
      CHECK(std::memcmp(blocks.data(), expected.data(), blocks.size() * sizeof(ActivationBlock)) == 0);
    }
  }
}

TEST_CASE("store_key_values writes the same bytes with every kernel set, and nothing else") {
  for (KeyValueType type : kTypes) {
    Case c({1, 4, 3, 1, 70, 64, 32}, true, 5);
    c.k.at(0, 1, 9, 3) = NAN;
    c.k.at(0, 2, 11, 40) = INFINITY;
    c.v.at(0, 0, 20, 1) = -INFINITY;
    for (int64_t d = 0; d < 32; ++d) c.k.at(0, 0, 30, d) = 0, c.v.at(0, 0, 31, d) = 1e-9f, c.v.at(0, 1, 31, d) = 6e-6f;
    for (int64_t d = 0; d < 32; ++d) c.k.at(0, 0, 32, d) = 4e4f * static_cast<float>(d % 2 == 0 ? d : -d);
    std::vector<std::vector<unsigned char>> written;
    for (const KernelPair& kernel : kernels()) {
      Cache cache(type, c.shape, 32, 1);
      fill(kernel.store, c, cache);
      std::vector<unsigned char> all;
      for (const auto& page : cache.memory) all.insert(all.end(), page.get(), page.get() + cache.page_bytes);
      // The other layer is untouched.
      for (const auto& page : cache.memory) {
        CHECK(std::all_of(page.get(), page.get() + cache.page_bytes / kLayers, [](unsigned char b) { return b == 0xff; }));
      }
      written.push_back(all);
    }
    for (const auto& other : written) CHECK(other == written[0]);
  }
}

TEST_CASE("a quantized block that is not finite is NaN, one too small is 0, and the rest rounds by half a step") {
  Case c = causal_case({1, 1, 1, 1, 1, 32, 32}, false, 6);
  const auto value_of = [&](float a, float b) {
    for (int64_t d = 0; d < 32; ++d) c.v.at(0, 0, 0, d) = d == 0 ? a : b;
    std::vector<float> last;
    for (const KernelPair& kernel : kernels()) {
      Cache cache(KeyValueType::q8_0, c.shape, 16, 0);
      fill(kernel.store, c, cache);
      last = attend_pages(kernel.attend, c, cache, 1, 1);
    }
    return last;
  };
  for (float x : value_of(NAN, 1)) CHECK(std::isnan(x));
  for (float x : value_of(INFINITY, 1)) CHECK(std::isnan(x));
  for (float x : value_of(1e-9f, 1e-9f)) CHECK(x == 0);
  CHECK(value_of(127, 3.4f)[1] == doctest::Approx(3.4).epsilon(0.5 / 3.4));
  CHECK(value_of(127, 3)[1] == 3);
}

TEST_CASE("paged kernels refuse positions without a page") {
  for (const KernelPair& kernel : kernels()) {
    Case c = causal_case({1, 2, 1, 1, 40, 32, 32}, false, 7);
    Cache cache(KeyValueType::f32, c.shape, 16, 0);
    fill(kernel.store, c, cache);
    const auto attend = [&] {
      Operand<float> out(1, 2, 1, 32, false, 0);
      PagedAttentionParams p = {};
      p.attention = c.params(out, 2, 1);
      p.attention.kv_len = 48;
      p.cache = cache.layout;
      return run(kernel.attend, p, 1);
    };
    CHECK(attend() == KernelStatus::ok);
    c.positions[0] = 48;
    CHECK(attend() == KernelStatus::index_out_of_range);
    c.positions[0] = 31;
    cache.table[2] = 0;
    CHECK(attend() == KernelStatus::ok);
    cache.table[1] = 0;
    CHECK(attend() == KernelStatus::index_out_of_range);
    for (int32_t position : {-1, 16, 40, 48}) {
      const std::vector<int32_t> positions = {0, position};
      CHECK(run(kernel.store, store_params(c, cache, positions), 1) == KernelStatus::index_out_of_range);
    }
  }
}
