// Tests of what matmul does beside multiplying: rows that it norms, and gated units, against the ops one by one.
#include <cmath>

#include "kernels/matmul.h"
#include "kernels/mul.h"
#include "kernels/pack_b.h"
#include "kernels/rms_norm.h"
#include "kernels/silu_mul.h"
#include "kernel_sets.h"
#include "rows_testing.h"
#include "scratch.h"

namespace tesserae::testing {
namespace {

constexpr int64_t kColumns = 83, kAStride = 131, kCStride = 90;

// The image of a random k × kColumns matrix of 2 or 4 bytes.
std::vector<unsigned char> random_image(DType dtype, int64_t k, const BlockSizes& blocks, uint64_t seed) {
  Random random(seed);
  const auto count = static_cast<size_t>(k * kColumns);
  std::vector<float> floats(count);
  std::vector<uint16_t> halves(count);
  for (size_t i = 0; i < count; ++i) {
    floats[i] = random.uniform();
    halves[i] = static_cast<uint16_t>(0x3800 + random.integer(0, 1023));  // about 0.5 in f16, about 1e-5 in bf16
  }
  std::vector<unsigned char> image(static_cast<size_t>(packed_image_elements(k, kColumns) * dtype_bytes(dtype)));
  PackBParams p = {};
  p.b = dtype == DType::f32 ? static_cast<const void*>(floats.data()) : halves.data();
  p.packed = image.data(), p.k = k, p.n = kColumns, p.b_rs = kColumns, p.b_cs = 1, p.kc = blocks.kc;
  p.b_dtype = static_cast<int64_t>(dtype), p.tile_panels = panel_count(kColumns), p.batch = {{1, 1, 1, 1}};
  REQUIRE(run_tiles(kernel_named("pack_b", Isa::ref), p, k_block_count(k, blocks.kc)) == KernelStatus::ok);
  return image;
}

struct AroundCase {
  DType dtype;
  int64_t m, k;
  BlockSizes blocks;
  bool norms, has_weight, gates;
  int64_t tile_m, tile_n;
  Activation activation = Activation::none;  // of the first product
};

struct Results {
  std::vector<float> first, second;
  explicit Results(int64_t m) : first(static_cast<size_t>(m * kCStride), -77.25f), second(first) {}
};

MatmulParams product_of(const AroundCase& c, const float* a, int64_t a_rs, const void* image, float* out) {
  MatmulParams p = {};
  p.a = a, p.a_rs = a_rs, p.a_cs = 1, p.packed_b = image, p.c = out, p.c_rs = kCStride;
  p.m = c.m, p.n = kColumns, p.k = c.k, p.b_dtype = static_cast<int64_t>(c.dtype);
  p.path = static_cast<int64_t>(MatmulPath::shared_pack), p.blocks = c.blocks, p.batch = {{1, 1, 1, 1}};
  p.tile_m = c.tile_m, p.tile_n = c.tile_n, p.tile_batches = 1;
  return p;
}

void run_product(const MatmulParams& p, Isa isa) {
  const int64_t tiles = tiles_of(p.m, p.tile_m) * tiles_of(p.n, p.tile_n);
  REQUIRE(run_tiles(kernel_named("matmul", isa), p, tiles) == KernelStatus::ok);
}

// By one op for each norm, product and unit.
Results one_by_one(const AroundCase& c, Isa isa, const std::vector<float>& x, const float* weight, const void* gate,
                   const void* up) {
  Results out(c.m);
  const OuterShape outer = {{1, 1, 1, c.m}};
  std::vector<float> normed(static_cast<size_t>(c.m * c.k));
  const RmsNormParams norm{x.data(), normed.data(), weight, 1e-5, c.k, c.m, outer, {{0, 0, 0, kAStride}}, {{0, 0, 0, c.k}}, nullptr};
  REQUIRE(run_tiles(kernel_named("rms_norm", isa), norm, 1) == KernelStatus::ok);
  const float* a = c.norms ? normed.data() : x.data();
  const int64_t a_rs = c.norms ? c.k : kAStride;
  MatmulParams first = product_of(c, a, a_rs, gate, out.first.data());
  first.activation = static_cast<int64_t>(c.activation);
  run_product(first, isa);
  if (!c.gates) return out;
  run_product(product_of(c, a, a_rs, up, out.second.data()), isa);
  const OuterStrides strides = {{0, 0, 0, kCStride}};
  float* y = out.first.data();
  if (c.activation == Activation::none) {
    const SiluMulParams unit{y, out.second.data(), y, kColumns, c.m, outer, strides, strides, strides, nullptr};
    REQUIRE(run_tiles(kernel_named("silu_mul", isa), unit, 1) == KernelStatus::ok);
  } else {
    const MulParams unit{y, out.second.data(), y, kColumns, c.m, 1, 1, outer, strides, strides, strides};
    REQUIRE(run_tiles(kernel_named("mul", isa), unit, 1) == KernelStatus::ok);
  }
  return out;
}

void check_case(const AroundCase& c) {
  CAPTURE(static_cast<int64_t>(c.dtype));
  CAPTURE(c.m);
  CAPTURE(c.k);
  CAPTURE(c.norms);
  CAPTURE(c.gates);
  CAPTURE(c.tile_n);
  CAPTURE(static_cast<int64_t>(c.activation));
  const std::vector<float> x = random_floats(c.m * kAStride, 4);
  const std::vector<float> weights = random_floats(c.k, 5);
  const float* weight = c.has_weight ? weights.data() : nullptr;
  const auto gate = random_image(c.dtype, c.k, c.blocks, 1), up = random_image(c.dtype, c.k, c.blocks, 2);
  std::vector<float> of_first_set;
  for (const Isa isa : instruction_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    const Results expected = one_by_one(c, isa, x, weight, gate.data(), up.data());
    Results got(c.m);
    MatmulParams p = product_of(c, x.data(), kAStride, gate.data(), got.first.data());
    p.activation = static_cast<int64_t>(c.activation);
    if (c.norms) p.norm = {1, weight, 1e-5};
    if (c.gates) p.gated = {up.data(), got.second.data()};
    run_product(p, isa);
    CHECK(same_bits(got.first, expected.first));
    CHECK(same_bits(got.second, expected.second));
    if (isa == Isa::ref) continue;
    if (of_first_set.empty()) of_first_set = got.first;
    CHECK(same_bits(got.first, of_first_set));
  }
}

TEST_CASE("matmul: rows that it norms, and gated units, have the bits of the ops one by one") {
  constexpr BlockSizes kSmall = {32, 32, 24};
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const int64_t m : {1, 2, 7}) {
      for (const bool gates : {false, true}) {
        for (const int64_t tile_n : {int64_t{16}, int64_t{48}, kColumns}) {
          check_case({dtype, m, 100, kDefaultBlockSizes, true, true, gates, m, tile_n});
          check_case({dtype, m, 100, kSmall, true, false, gates, std::min<int64_t>(m, 3), tile_n});
          check_case({dtype, m, 131, kSmall, false, false, true, std::min<int64_t>(m, 5), tile_n});
          for (const Activation activation : {Activation::gelu, Activation::gelu_tanh}) {
            check_case({dtype, m, 100, kSmall, true, true, gates, std::min<int64_t>(m, 3), tile_n, activation});
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
