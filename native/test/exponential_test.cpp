// The errors of exp and of the exp2 inside attention, over the floats: a sample of them, or each one with
// TESSERAE_FLOAT_STEP=1, as `pnpm test:floats` does. Each kernel is run once, however many sets have it.
#include <cstdlib>

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "rows_testing.h"

namespace tesserae::testing {
namespace {

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The distance of the floats that are tested.
uint64_t step_of(uint64_t by_default) {
  const char* given = std::getenv("TESSERAE_FLOAT_STEP");
  if (given != nullptr) return std::max<uint64_t>(std::strtoull(given, nullptr, 10), 1);
#ifdef NDEBUG
  return by_default;
#else
  return std::max<uint64_t>(by_default, 1009);
#endif
}

struct NamedKernel {
  std::string isa;
  Kernel kernel;
  double worst = 0;
};

std::vector<NamedKernel> different_kernels(const char* name) {
  std::vector<NamedKernel> all;
  for (const Isa isa : vector_sets()) {
    const Kernel kernel = kernel_named(name, isa);
    const auto is_known = [&](const NamedKernel& other) { return other.kernel == kernel; };
    if (std::none_of(all.begin(), all.end(), is_known)) all.push_back({kernel_set(isa).isa, kernel});
  }
  return all;
}

constexpr size_t kPart = 1 << 14;

// Calls visit(values) for parts of the floats with these bits.
template <typename Visit>
void each_part(uint64_t first, uint64_t last, uint64_t step, Visit visit) {
  std::vector<float> values(kPart);
  for (uint64_t bits = first; bits <= last;) {
    for (float& value : values) {
      value = float_of(static_cast<uint32_t>(std::min(bits, last)));
      bits += step;
    }
    visit(values);
  }
}

double error_of_exp(float x, float got) {
  // Results that are obvious are not computed with libm.
  if (x > 89) return got == INFINITY ? 0 : INFINITY;
  if (x < -104) return got == 0 && !std::signbit(got) ? 0 : INFINITY;
  if (std::fabs(x) < 0x1p-26f) return got == 1 ? 0 : INFINITY;
  return ulps(got, std::exp(static_cast<double>(x)));
}

TEST_CASE("exponential: exp over the floats") {
  std::vector<NamedKernel> kernels = different_kernels("activation");
  std::vector<float> got(kPart);
  each_part(0, 0xffffffffu, step_of(7), [&](const std::vector<float>& values) {
    const auto columns = static_cast<int64_t>(kPart);
    std::vector<float> of_first;
    for (NamedKernel& one : kernels) {
      const ActivationParams params{values.data(), got.data(), static_cast<int64_t>(Activation::exp), columns, 1,
                                    {{1, 1, 1, 1}}, {{0, 0, 0, columns}}, {{0, 0, 0, columns}}};
      REQUIRE(run_tiles(one.kernel, params, 1) == KernelStatus::ok);
      if (!of_first.empty() && same_bits(got, of_first)) {
        one.worst = kernels[0].worst;
        continue;
      }
      for (size_t i = 0; i < kPart; ++i) one.worst = std::max(one.worst, error_of_exp(values[i], got[i]));
      if (of_first.empty()) of_first = got;
    }
  });
  for (const NamedKernel& one : kernels) {
    CAPTURE(one.isa);
    CHECK(one.worst < 1.1);
  }
}

// Two keys with the scores 0 and x, the values (1, 0) and (0, 1): the outputs are r = 1 / (1 + 2^x), rounded, and 2^x · r.
// So the error of the second beside 2^x · r is that of 2^x, and half a unit more.
TEST_CASE("exponential: exp2 in attention, over the floats from -127 to 0") {
  std::vector<NamedKernel> kernels = different_kernels("attention");
  const float keys[2] = {0, 1}, values_of_keys[4] = {1, 0, 0, 1};
  std::vector<float> out(2 * kPart);
  AttentionParams p = {};
  p.k = keys, p.v = values_of_keys, p.out = out.data();
  p.scale = 0.6931471805599453, p.kv_dtype = DType::f32;
  p.batch = p.heads = p.kv_heads = p.dim = 1, p.q_len = static_cast<int64_t>(kPart), p.kv_len = p.v_dim = 2;
  p.tile_heads = 1, p.tile_queries = 256, p.q_row = p.k_row = 1, p.v_row = p.out_row = 2;
  uint32_t lowest;
  const float limit = -127;
  std::memcpy(&lowest, &limit, sizeof lowest);
  each_part(0x80000000u, lowest, step_of(211), [&](const std::vector<float>& values) {
    p.q = values.data();
    for (NamedKernel& one : kernels) {
      REQUIRE(run_tiles(one.kernel, p, p.q_len / p.tile_queries) == KernelStatus::ok);
      for (size_t i = 0; i < kPart; ++i) {
        const double r = out[2 * i], x = values[i];
        const double power = x < -126.5 ? 0 : std::exp2(x);
        // The result of a product below 2^-126 has fewer bits.
        const double unit = std::max(power * r * 0x1p-23, 0x1p-149);
        one.worst = std::max(one.worst, std::fabs(out[2 * i + 1] - power * r) / unit);
        one.worst = std::max(one.worst, std::fabs(r * (1 + power) - 1) > 0x1p-22 ? INFINITY : 0.0);
      }
    }
  });
  for (const NamedKernel& one : kernels) {
    CAPTURE(one.isa);
    CHECK(one.worst < 2.5);
  }
}

}  // namespace
}  // namespace tesserae::testing
