// Digests of results that every kernel set must give on every CPU, x86 and arm64; not ref, which sums in another order.
// Inputs are made by integer arithmetic, so that they are the same everywhere. test/golden does the same for ops and
// models as users run them. After a change that is meant to change bits, take the new digests from the failures.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "kernels/cross_entropy.h"
#include "kernels/layer_norm.h"
#include "kernels/matmul_quantized.h"
#include "kernels/pack_quantized.h"
#include "kernels/quantize_rows.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/silu_mul.h"
#include "kernels/softmax.h"
#include "matmul_fixture.h"
#include "paged_case.h"
#include "quantized_blocks.h"
#include "rows_testing.h"

namespace tesserae::testing {
namespace {

// FNV-1a over the bytes of values.
class Digest {
 public:
  template <typename T>
  void add(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    for (size_t i = 0; i < values.size() * sizeof(T); ++i) hash_ = (hash_ ^ bytes[i]) * 0x100000001b3u;
  }
  std::string text() const {
    char hex[17];
    std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash_));
    return hex;
  }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

std::vector<float> numbers(int64_t count, float scale, uint64_t seed) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(count));
  for (float& value : x) value = random.uniform() * scale;
  return x;
}

constexpr int64_t kRowCount = 5;
constexpr int64_t kColumns = 203;  // whole vectors, and a remainder
constexpr OuterShape kOuter = {{1, 1, 1, kRowCount}};
constexpr OuterStrides kStrides = {{0, 0, 0, kColumns}};

// The digest that `run` makes, with each set. run(kernel_of, digest): kernel_of(name) is a kernel of the set.
template <typename Run>
void check(const std::string& expected, Run run) {
  for (const Isa isa : vector_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    Digest digest;
    run([isa](const char* name) { return kernel_named(name, isa); }, digest);
    CHECK(digest.text() == expected);
  }
}

TEST_CASE("golden: rows") {
  check("2ccc3b811629b37c", [](auto kernel_of, Digest& digest) {
    const std::vector<float> x = numbers(kRowCount * kColumns, 6, 1);
    const std::vector<float> weight = numbers(kColumns, 2, 2), bias = numbers(kColumns, 1, 3);
    std::vector<float> y(x.size());
    const auto run = [&](const char* name, const auto& params) {
      REQUIRE(run_tiles(kernel_of(name), params, kRowCount) == KernelStatus::ok);
      digest.add(y);
    };
    run("rms_norm",
        RmsNormParams{x.data(), y.data(), weight.data(), 1e-5, kColumns, 1, kOuter, kStrides, kStrides, nullptr});
    run("layer_norm",
        LayerNormParams{x.data(), y.data(), weight.data(), bias.data(), 1e-5, kColumns, 1, kOuter, kStrides, kStrides});
    run("softmax", SoftmaxParams{x.data(), y.data(), kColumns, 1, kOuter, kStrides, kStrides});
    run("silu_mul",
        SiluMulParams{x.data(), x.data(), y.data(), kColumns, 1, kOuter, kStrides, kStrides, kStrides, nullptr});
    for (int64_t kind = 1; kind <= static_cast<int64_t>(Activation::exp); ++kind) {
      run("activation", ActivationParams{x.data(), y.data(), kind, kColumns, 1, kOuter, kStrides, kStrides});
    }
    const std::vector<int32_t> targets = {0, 7, 50, 100, 202};
    std::vector<float> losses(kRowCount);
    const OuterStrides one = {{0, 0, 0, 1}};
    const CrossEntropyParams params{x.data(), targets.data(), losses.data(), kColumns, 1, kOuter, kStrides, one, one};
    REQUIRE(run_tiles(kernel_of("cross_entropy"), params, kRowCount) == KernelStatus::ok);
    digest.add(losses);
  });
}

TEST_CASE("golden: rope") {
  check("49e97eacaf219b7c", [](auto kernel_of, Digest& digest) {
    const std::vector<float> x = numbers(kRowCount * kColumns, 1, 4);
    std::vector<float> frequencies(50);
    for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] = 1 / static_cast<float>(1 + 3 * i * i);
    const std::vector<int32_t> positions = {0, 1, 77, 4096, 131071};
    const OuterShape outer = {{1, 1, kRowCount, 1}};
    const OuterStrides strides = {{0, 0, kColumns, 0}};
    for (const RopeStyle style : {RopeStyle::interleaved, RopeStyle::half_split}) {
      std::vector<float> y(x.size());
      const Rotation rotation{frequencies.data(), 1.1, static_cast<int64_t>(style), 100};
      const RopeParams params{x.data(), y.data(), positions.data(), rotation, kColumns,        1,
                              outer,    strides,  strides,          {{0, 0, 1, 0}}};
      REQUIRE(run_tiles(kernel_of("rope"), params, kRowCount) == KernelStatus::ok);
      digest.add(y);
    }
  });
}

TEST_CASE("golden: matmul") {
  check("27a96f0d44849463", [](auto kernel_of, Digest& digest) {
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{50, 70, 300}, {3, 130, 260}, {37, 5, 100}, {1, 64, 512}}) {
      for (const bool is_transposed : {false, true}) {
        const std::vector<float> a = numbers(m * k, 1, 5), b = numbers(k * n, 1, 6), bias = numbers(n, 1, 7);
        std::vector<float> c(static_cast<size_t>(m * n));
        MatmulParams p = {};
        p.a = a.data(), p.b = b.data(), p.c = c.data(), p.bias = bias.data();
        p.m = p.tile_m = m, p.n = p.tile_n = n, p.k = k;
        p.a_rs = k, p.a_cs = 1, p.c_rs = n, p.bias_stride = 1;
        p.b_rs = is_transposed ? 1 : n, p.b_cs = is_transposed ? k : 1;
        p.path = static_cast<int64_t>(std::min(m, n) <= 8 ? MatmulPath::thin : MatmulPath::local_pack);
        p.activation = static_cast<int64_t>(Activation::gelu);
        p.tile_batches = 1, p.blocks = kDefaultBlockSizes, p.batch = {{1, 1, 1, 1}};
        REQUIRE(run_tiles(kernel_of("matmul"), p, 1) == KernelStatus::ok);
        digest.add(c);
      }
    }
  });
}

TEST_CASE("golden: matmul_quantized, every block type") {
  check("055570628ec56b73", [](auto kernel_of, Digest& digest) {
    for (const int64_t rows : {1, 3, 11}) {
      const int64_t n = 27, k = 512;
      const std::vector<float> x = numbers(rows * k, 1, 8);
      std::vector<ActivationBlock> blocks(x.size() / kActivationBlock);
      REQUIRE(run_tiles(kernel_of("quantize_rows"),
                        QuantizeRowsParams{x.data(), blocks.data(), k, rows, {{1, 1, 1, rows}}, {{0, 0, 0, k}}}, 1) ==
              KernelStatus::ok);
      for (const QuantizedType type : quantized_types()) {
        const QuantizedFormat& format = quantized_format(type);
        Random random(9);
        const std::vector<unsigned char> weights = random_blocks(type, n * (k / format.block_elements), random);
        std::vector<unsigned char> image(static_cast<size_t>(strip_count(n) * strip_bytes(format, k)));
        REQUIRE(run_tiles(kernel_of("pack_quantized"),
                          PackQuantizedParams{weights.data(), image.data(), static_cast<int64_t>(type), n, k, 1},
                          strip_count(n)) == KernelStatus::ok);
        digest.add(image);
        std::vector<float> c(static_cast<size_t>(rows * n));
        MatmulQuantizedParams p = {};
        p.x = blocks.data(), p.m = p.tile_m = rows, p.k = k, p.targets = 1;
        p.target[0] = {image.data(), c.data(), nullptr, nullptr, static_cast<int64_t>(type), n, n, 1, n, 0, n, 0};
        REQUIRE(run_tiles(kernel_of("matmul_quantized"), p, 1) == KernelStatus::ok);
        digest.add(c);
      }
    }
  });
}

TEST_CASE("golden: attention and cache pages") {
  namespace paged = tesserae::paged_testing;
  check("f6ed264b0b78f1e4", [](auto kernel_of, Digest& digest) {
    for (const int64_t queries : {1, 40}) {
      paged::Case c = paged::causal_case({1, 4, 2, queries, 300, 64, 64}, false, 1);
      uint64_t seed = 10;
      for (auto* operand : {&c.q, &c.k, &c.v}) {
        const std::vector<float> values = numbers(static_cast<int64_t>(operand->storage.size()), 2, seed++);
        std::copy(values.begin(), values.end(), operand->storage.begin());
      }
      digest.add(paged::attend_whole(kernel_of("attention"), c));
      for (const KeyValueType type : paged::kTypes) {
        std::vector<paged::Case> cases = {c};
        paged::Cache cache(type, c.shape, 32, 1, {c.shape.kv_len});
        paged::fill(kernel_of("store_key_values"), cases, cache);
        paged::PagedRun run(cases, cache, paged::rows_of(cases), 64, 2);
        REQUIRE(run.run(kernel_of("paged_attention")) == KernelStatus::ok);
        digest.add(run.of(0));
      }
      c.softcap = 20, c.window = 90, c.slopes = {0.1f, 0.2f, 0.3f, 0.4f};
      digest.add(paged::attend_whole(kernel_of("attention"), c));
    }
  });
}

}  // namespace
}  // namespace tesserae::testing
