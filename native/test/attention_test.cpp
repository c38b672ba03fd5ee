// Tests of attention: against float64, the kernel sets against each other, and that a row's bits depend only on its
// query and the keys that it sees.
#include <doctest/doctest.h>

#include <cfloat>
#include <memory>

#include "attention_case.h"
#include "kernel_sets.h"
#include "scratch.h"

using namespace tesserae;
using namespace tesserae::attention_testing;

namespace {

constexpr uint32_t kGuardBits = 0x7fc12345;  // a NaN that no kernel produces

float guard() {
  float value;
  std::memcpy(&value, &kGuardBits, sizeof value);
  return value;
}

bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Runs all tiles, in descending order. Checks that every output was written, and nothing around the outputs.
std::vector<float> run(Kernel kernel, Case& c, int64_t tile_heads, int64_t tile_queries) {
  const Shape& s = c.shape;
  Operand<float> out(s.batch, s.heads, s.q_len, s.v_dim, c.gaps, guard());
  auto op = std::make_unique<OpRecord>();
  const AttentionParams p = c.params(out, tile_heads, tile_queries);
  std::memcpy(op->params, &p, sizeof p);
  op->tile_count = static_cast<uint32_t>(c.tile_count(tile_heads, tile_queries));
  Scratch scratch = test::fresh_scratch();
  for (int64_t tile = op->tile_count; tile-- > 0;) REQUIRE(kernel(*op, tile, scratch) == KernelStatus::ok);

  const std::vector<float> result = dense(s, out);
  int64_t untouched = 0;
  for (float x : out.storage) untouched += same_bits(x, guard());
  CHECK(untouched == static_cast<int64_t>(out.storage.size() - result.size()));
  return result;
}

double error(const std::vector<float>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  double squares = 0, norm = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    squares += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return squares == 0 ? 0 : squares / norm;
}

std::vector<Kernel> kernels() {
  std::vector<Kernel> all;
  for (const Isa isa : instruction_sets()) all.push_back(kernel_named("attention", isa));
  return all;
}

void check_against_oracle(Case& c) {
  const Shape& s = c.shape;
  CAPTURE(s.batch);
  CAPTURE(s.heads);
  CAPTURE(s.kv_heads);
  CAPTURE(s.q_len);
  CAPTURE(s.kv_len);
  CAPTURE(s.dim);
  CAPTURE(s.v_dim);
  CAPTURE(c.causal);
  CAPTURE(c.half);
  const std::vector<double> expected = c.oracle();
  const int64_t group = s.heads / s.kv_heads;
  std::vector<float> first;
  for (Kernel kernel : kernels()) {
    const std::vector<float> got = run(kernel, c, group, 64);
    CHECK(error(got, expected) < 1e-10);
    if (kernel == attention_ref) continue;
    if (first.empty()) first = got;
    CHECK(same_bits(got, first));  // the same with all vector sets
  }
}

// A problem with only one query of `c`; everything else is the same.
Case single_query(Case& c, int64_t query) {
  Case single = c;
  single.shape.q_len = 1;
  const Shape& s = single.shape;
  single.q = Operand<float>(s.batch, s.heads, 1, s.dim, false, 0);
  single.positions.clear();
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      for (int64_t d = 0; d < s.dim; ++d) single.q.at(b, h, 0, d) = c.q.at(b, h, query, d);
    }
    const int64_t bottom_right = c.shape.kv_len - c.shape.q_len + query;
    if (c.causal || c.window > 0 || !c.slopes.empty()) {
      single.positions.push_back(c.positions.empty()
                                     ? static_cast<int32_t>(bottom_right)
                                     : c.positions[static_cast<size_t>(b * c.shape.q_len + query)]);
    }
  }
  if (!c.mask.empty()) single.mask.erase(single.mask.begin(), single.mask.begin() + query * c.mask_row);
  return single;
}

// Checks that single rows, and any cut into tiles, give the same bits as one tile.
void check_same_bits(Case& c) {
  const Shape& s = c.shape;
  const int64_t group = s.heads / s.kv_heads;
  for (Kernel kernel : kernels()) {
    const std::vector<float> whole = run(kernel, c, group, s.q_len);
    std::vector<int64_t> cuts = {1, 2, 5, 6, 7, 12, 13, 64};
    if (kernel == attention_ref) cuts = {5};  // it computes row by row anyway, and is slow
    for (int64_t tile_heads : {int64_t{1}, group}) {
      for (int64_t tile_queries : cuts) {
        CAPTURE(tile_heads);
        CAPTURE(tile_queries);
        CHECK(same_bits(run(kernel, c, tile_heads, tile_queries), whole));
      }
    }
    for (int64_t query : {int64_t{0}, s.q_len / 2, s.q_len - 1}) {
      Case single = single_query(c, query);
      for (int64_t tile_heads : {int64_t{1}, group}) {
        const std::vector<float> alone = run(kernel, single, tile_heads, 1);
        bool same = true;
        for (int64_t row = 0; row < s.batch * s.heads; ++row) {
          for (int64_t d = 0; d < s.v_dim; ++d) {
            same &= same_bits(alone[static_cast<size_t>(row * s.v_dim + d)],
                              whole[static_cast<size_t>((row * s.q_len + query) * s.v_dim + d)]);
          }
        }
        CAPTURE(query);
        CAPTURE(tile_heads);
        CHECK(same);
      }
    }
  }
}

constexpr int64_t kBlock = kAttentionKeyBlock;

}  // namespace

TEST_CASE("attention agrees with float64 for all head widths") {
  for (int64_t dim : {1, 7, 8, 32, 64, 80, 100, 128}) {
    for (int64_t v_dim : {dim, int64_t{1}, int64_t{7}, int64_t{24}, int64_t{64}}) {
      for (int64_t q_len : {1, 9}) {
        Case c({1, 2, 1, q_len, 41, dim, v_dim}, q_len == 9);
        check_against_oracle(c);
      }
    }
  }
  Case widest({1, 1, 1, 300, kBlock + 9, kAttentionMaxDim, kAttentionMaxDim});
  check_against_oracle(widest);
}

TEST_CASE("attention agrees with float64 around key blocks and micro-tiles, full and causal") {
  for (int64_t kv_len : {int64_t{1}, int64_t{7}, int64_t{8}, int64_t{9}, int64_t{17}, kBlock - 1, kBlock, kBlock + 1,
                         2 * kBlock + 1}) {
    for (int64_t q_len : {1, 2, 3, 4, 5, 6, 7, 12, 13, 25}) {
      Case c({2, 2, 1, q_len, kv_len, 16, 24}, q_len % 2 == 1, static_cast<unsigned>(kv_len * 31 + q_len));
      check_against_oracle(c);
      c.causal = true;
      check_against_oracle(c);
    }
  }
}

// Values that are aligned to cache lines are not packed. With one key block and several, and strips of every height.
TEST_CASE("attention reads aligned values in place, with the bits of packed ones") {
  for (int64_t kv_len : {int64_t{40}, kBlock, kBlock + 40}) {
    for (int64_t q_len : {12, 20, 27, 40}) {
      const Shape s = {1, 2, 1, q_len, kv_len, 32, 64};
      Case apart(s);
      operand_shift = 0;
      Case in_place(s);
      operand_shift = 1;
      for (auto operand : {&Case::q, &Case::k, &Case::v}) {
        const Operand<float>& from = apart.*operand;
        std::copy(from.storage.begin() + 1, from.storage.end(), (in_place.*operand).storage.begin());
      }
      for (bool causal : {false, true}) {
        apart.causal = in_place.causal = causal;
        check_against_oracle(in_place);
        check_same_bits(in_place);
        for (Kernel kernel : kernels()) CHECK(same_bits(run(kernel, in_place, 2, q_len), run(kernel, apart, 2, q_len)));
      }
    }
  }
}

TEST_CASE("attention agrees with float64 for grouped-query heads") {
  for (int64_t kv_heads : {1, 2, 4, 8}) {
    for (int64_t q_len : {1, 3, 20}) {
      Case c({2, 8, kv_heads, q_len, kBlock + 20, 32, 32}, true);
      c.causal = true;
      check_against_oracle(c);
      c.use_half();
      check_against_oracle(c);
    }
  }
}

TEST_CASE("attention reads k and v in f16 at every width") {
  for (int64_t dim : {1, 7, 8, 20, 64}) {
    for (int64_t q_len : {1, 8, 9}) {
      Case c({1, 1, 1, q_len, 37, dim, dim}, q_len == 9);
      c.use_half();
      check_against_oracle(c);
    }
  }
}

TEST_CASE("attention adds masks by their strides") {
  const Shape s = {2, 4, 2, 15, kBlock + 37, 32, 32};
  for (int variant = 0; variant < 8; ++variant) {
    Case c(s, variant % 2 == 1);
    c.mask_row = variant & 1 ? s.kv_len : 0;
    const int64_t rows = variant & 1 ? s.q_len : 1;
    c.mask_head = variant & 2 ? rows * s.kv_len : 0;
    c.mask_batch = variant & 4 ? (variant & 2 ? s.heads : 1) * rows * s.kv_len : 0;
    c.mask.resize(static_cast<size_t>(s.batch * s.heads * s.q_len * s.kv_len));
    std::mt19937 generator(static_cast<unsigned>(variant));
    for (float& x : c.mask) {
      x = generator() % 3 == 0 ? -INFINITY : static_cast<float>(generator() % 1000) / 100 - 5;
    }
    c.causal = variant == 3 || variant == 4;
    check_against_oracle(c);
    check_same_bits(c);
  }
}

TEST_CASE("attention gives zeros to rows that see no key") {
  Case c({1, 2, 1, 9, 5, 16, 20}, true);
  c.causal = true;  // the positions of the first four queries are before the first key
  check_against_oracle(c);
  for (Kernel kernel : kernels()) {
    const std::vector<float> out = run(kernel, c, 2, 9);
    for (size_t i = 0; i < 4 * 20; ++i) CHECK(same_bits(out[i], 0.0f));
    CHECK(out[4 * 20] != 0);
  }
  check_same_bits(c);

  Case masked({1, 1, 1, 3, kBlock + 3, 16, 16});
  masked.mask.assign(static_cast<size_t>(3 * masked.shape.kv_len), 0);
  masked.mask_row = masked.shape.kv_len;
  std::fill_n(masked.mask.begin() + masked.mask_row, masked.mask_row, -INFINITY);  // row 1: no key
  std::fill_n(masked.mask.begin() + 2 * masked.mask_row, kBlock, -INFINITY);       // row 2: not the first block
  check_against_oracle(masked);
  for (Kernel kernel : kernels()) {
    const std::vector<float> out = run(kernel, masked, 1, 3);
    for (size_t i = 16; i < 32; ++i) CHECK(same_bits(out[i], 0.0f));
  }
}

TEST_CASE("attention gives keys equal weights if a finite mask swallows every score") {
  Case c({1, 1, 1, 7, 40, 16, 16});
  c.mask.assign(40, -FLT_MAX);
  for (Kernel kernel : kernels()) {
    const std::vector<float> out = run(kernel, c, 1, 7);
    for (int64_t d = 0; d < 16; ++d) {
      double mean = 0;
      for (int64_t j = 0; j < 40; ++j) mean += c.v.at(0, 0, j, d) / 40.0;
      CHECK(out[static_cast<size_t>(d)] == doctest::Approx(mean).epsilon(1e-5));
    }
  }
}

TEST_CASE("attention ignores the contents of keys masked by -inf") {
  Case c({1, 1, 1, 8, kBlock + 5, 16, 16});
  c.mask.assign(static_cast<size_t>(c.shape.kv_len), 0);
  c.mask[3] = c.mask[static_cast<size_t>(kBlock) + 2] = -INFINITY;
  for (Kernel kernel : kernels()) {
    const std::vector<float> clean = run(kernel, c, 1, 8);
    Case dirty = c;
    dirty.k.at(0, 0, 3, 1) = NAN;
    dirty.k.at(0, 0, kBlock + 2, 0) = INFINITY;
    CHECK(same_bits(run(kernel, dirty, 1, 8), clean));
  }
}

TEST_CASE("attention rows keep their bits alone, in any tile, and in a longer cache") {
  for (bool causal : {false, true}) {
    for (int64_t dim : {64, 20}) {
      Case c({2, 4, 2, 2 * kBlock / 8 + 1, kBlock + 75, dim, dim}, dim == 20, 7);
      c.causal = causal;
      check_same_bits(c);
      c.use_half();
      check_same_bits(c);
    }
  }
}

TEST_CASE("attention with positions ignores the rest of a cache, whatever it contains") {
  const int64_t capacity = 2 * kBlock + 40;
  for (int64_t seen : {int64_t{1}, int64_t{30}, kBlock - 1, kBlock, kBlock + 1, 2 * kBlock + 1}) {
    const int64_t q_len = std::min<int64_t>(seen, 29);
    Case exact({1, 6, 2, q_len, seen, 48, 40}, false, 3);
    exact.causal = true;
    Case cached({1, 6, 2, q_len, capacity, 48, 40}, true, 4);
    cached.causal = true;
    cached.scale = exact.scale;
    for (float& x : cached.k.storage) x = NAN;
    for (float& x : cached.v.storage) x = INFINITY;
    for (int64_t h = 0; h < 6; ++h) {
      for (int64_t i = 0; i < q_len; ++i) {
        for (int64_t d = 0; d < 48; ++d) cached.q.at(0, h, i, d) = exact.q.at(0, h, i, d);
      }
    }
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t j = 0; j < seen; ++j) {
        for (int64_t d = 0; d < 48; ++d) cached.k.at(0, h, j, d) = exact.k.at(0, h, j, d);
        for (int64_t d = 0; d < 40; ++d) cached.v.at(0, h, j, d) = exact.v.at(0, h, j, d);
      }
    }
    for (int64_t i = 0; i < q_len; ++i) cached.positions.push_back(static_cast<int32_t>(seen - q_len + i));
    for (Kernel kernel : kernels()) {
      const std::vector<float> expected = run(kernel, exact, 3, 64);
      CHECK(same_bits(run(kernel, cached, 3, 64), expected));
      CHECK(same_bits(run(kernel, cached, 1, 1), expected));
    }
    check_same_bits(cached);
  }
}

TEST_CASE("attention rows do not see keys of later rows, and propagate what they see") {
  for (int64_t bad : {int64_t{0}, int64_t{5}, int64_t{100}, kBlock, kBlock + 3}) {
    Case c({1, 2, 1, kBlock + 8, kBlock + 8, 16, 16}, false, 5);
    c.causal = true;
    Case dirty = c;
    dirty.k.at(0, 0, bad, 3) = NAN;
    dirty.v.at(0, 0, bad, 3) = NAN;
    for (Kernel kernel : kernels()) {
      const std::vector<float> clean = run(kernel, c, 2, 64);
      const std::vector<float> out = run(kernel, dirty, 2, 64);
      bool as_expected = true;
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t i = 0; i < kBlock + 8; ++i) {
          for (int64_t d = 0; d < 16; ++d) {
            const auto at = static_cast<size_t>((h * (kBlock + 8) + i) * 16 + d);
            as_expected &= i < bad ? same_bits(out[at], clean[at]) : std::isnan(out[at]);
          }
        }
      }
      CHECK(as_expected);
    }
  }
}

TEST_CASE("attention takes positions in any order, and -1 for a query without keys") {
  Case c({2, 2, 2, 14, kBlock + 40, 24, 24}, true, 6);
  c.causal = true;
  std::mt19937 generator(8);
  for (int64_t i = 0; i < 2 * c.shape.q_len; ++i) {
    c.positions.push_back(static_cast<int32_t>(generator() % static_cast<unsigned>(c.shape.kv_len + 1)) - 1);
  }
  c.positions[3] = -1;
  check_against_oracle(c);
  check_same_bits(c);
}

TEST_CASE("attention stops at the length of each batch") {
  for (bool causal : {false, true}) {
    Case c({4, 2, 1, 17, kBlock + 17, 24, 24}, true, 9);
    c.causal = causal;
    c.kv_lengths = {0, 3, static_cast<int32_t>(kBlock), static_cast<int32_t>(kBlock + 17)};
    check_against_oracle(c);
    check_same_bits(c);
  }
}

TEST_CASE("attention of equal scores is an exact mean: reference and AVX2 to the bit") {
  Case c({1, 2, 1, 13, 64, 16, 16});
  for (float& x : c.q.storage) x = 0;
  for (size_t i = 0; i < c.v.storage.size(); ++i) c.v.storage[i] = static_cast<float>(static_cast<int>(i % 17) - 8);
  const std::vector<float> expected = run(attention_ref, c, 2, 13);
  CHECK(error(expected, c.oracle()) == 0);
  for (Kernel kernel : kernels()) CHECK(same_bits(run(kernel, c, 2, 13), expected));
}

TEST_CASE("attention handles scores that are far apart") {
  Case c({1, 1, 1, 8, 2 * kBlock + 9, 16, 16}, false, 10);
  c.scale = 300;  // one key has the weight 1, the others 0
  for (Kernel kernel : kernels()) CHECK(error(run(kernel, c, 1, 8), c.oracle()) < 1e-6);
  check_same_bits(c);
}

TEST_CASE("attention with softcap, slopes and windows agrees with float64") {
  for (bool causal : {true, false}) {
    for (int64_t q_len : {1, 4, 11, 70}) {
      for (int64_t kv_len : {int64_t{70}, kBlock, 2 * kBlock + 90}) {
        Case c({1, 4, 2, q_len, kv_len, 24, 16}, q_len == 11, static_cast<unsigned>(q_len + kv_len));
        c.causal = causal;
        for (float& x : c.q.storage) x *= 4;
        c.softcap = 2.5;
        check_against_oracle(c);
        c.slopes = {0.5f, 0.25f, 0.01f, 0.0f};
        check_against_oracle(c);
        for (int64_t window : {int64_t{1}, int64_t{5}, int64_t{64}, kBlock, kBlock + 1, 5 * kBlock}) {
          c.window = window;
          CAPTURE(window);
          check_against_oracle(c);
          if (kv_len > kBlock && q_len == 11) check_same_bits(c);
        }
        c.softcap = 0;
        c.slopes.clear();
        c.window = 3;
        c.mask.assign(static_cast<size_t>(kv_len), 0.5f);
        c.mask[static_cast<size_t>(kv_len / 2)] = -INFINITY;
        check_against_oracle(c);
      }
    }
  }
}

TEST_CASE("attention does not read key blocks outside of the window") {
  Case c({1, 2, 1, 9, 3 * kBlock, 16, 16}, false, 12);
  c.causal = true;
  c.window = 20;
  Case dirty = c;
  for (int64_t j = 0; j < 2 * kBlock; ++j) dirty.k.at(0, 0, j, 0) = dirty.v.at(0, 0, j, 0) = NAN;
  for (Kernel kernel : kernels()) CHECK(same_bits(run(kernel, dirty, 2, 9), run(kernel, c, 2, 9)));
}
