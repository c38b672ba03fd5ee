// Tests of the portable vector layer: its emulated operations have the bits of the exact ones, for random bit patterns
// and special values. The kernels that use it are compared with the other sets by their own tests.
#define TESSERAE_ISA portable_layer_test
#define TESSERAE_VEC "kernels/vec/portable.h"
#include "kernels/vec/vec.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/half.h"

namespace tesserae {
namespace {

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

bool same(float a, float b) { return std::memcmp(&a, &b, 4) == 0 || (std::isnan(a) && std::isnan(b)); }

// Lanes of floats that are often close to cancelling, subnormal or special.
std::vector<float> operands(std::mt19937& random, int64_t count) {
  const uint32_t specials[] = {0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x3f800000, 0x3f800001, 0x7f7fffff, 0x7f800000,
                               0x7fc00000};
  std::vector<float> values(count);
  for (float& value : values) {
    const uint32_t choice = random() % 8;
    const auto bits = static_cast<uint32_t>(random());
    if (choice == 0) value = float_of(specials[random() % 10] ^ (bits & 0x80000000));
    else if (choice < 4) value = float_of((bits & 0x807fffff) | ((120 + bits % 16) << 23));
    else if (choice < 6) value = float_of((bits & 0x80ff0000) | 0x3f000000);  // few bits, so that sums are ties
    else value = float_of(bits);
  }
  return values;
}

TEST_CASE("portable vectors: fused operations round once") {
  std::mt19937 random(1);
  for (int round = 0; round < 40'000; ++round) {
    const std::vector<float> a = operands(random, 8), b = operands(random, 8);
    std::vector<float> c = operands(random, 8);
    // Half of them cancel all but the product's lower bits.
    for (int i = 0; i < 4; ++i) c[i] = -a[i] * b[i];
    float sum[8], difference[8], negated[8];
    store_f32x8(sum, fma(load_f32x8(a.data()), load_f32x8(b.data()), load_f32x8(c.data())));
    store_f32x8(difference, fms(load_f32x8(a.data()), load_f32x8(b.data()), load_f32x8(c.data())));
    store_f32x8(negated, fnma(load_f32x8(a.data()), load_f32x8(b.data()), load_f32x8(c.data())));
    for (int i = 0; i < 8; ++i) {
      CAPTURE(a[i]);
      CAPTURE(b[i]);
      CAPTURE(c[i]);
      REQUIRE(same(sum[i], std::fma(a[i], b[i], c[i])));
      REQUIRE(same(difference[i], std::fma(a[i], b[i], -c[i])));
      REQUIRE(same(negated[i], std::fma(-a[i], b[i], c[i])));
    }
  }
}

TEST_CASE("portable vectors: halves, all of them, and floats near their ties") {
  for (uint32_t first = 0; first < 65536; first += 8) {
    uint16_t halves[8], back[8];
    for (uint32_t i = 0; i < 8; ++i) halves[i] = static_cast<uint16_t>(first + i);
    float values[8];
    store_f32x8(values, f16_to_f32(load_bits128(halves)));
    store_bits128(back, f32_to_f16(load_f32x8(values)));
    for (int i = 0; i < 8; ++i) {
      const float expected = half_to_float(halves[i]);
      REQUIRE(std::memcmp(&values[i], &expected, 4) == 0);
      REQUIRE(back[i] == float_to_half(expected));
    }
  }
}

TEST_CASE("portable vectors: integers to nearest, ties to even, and products of bytes") {
  std::mt19937 random(2);
  for (int round = 0; round < 20'000; ++round) {
    float values[8];
    int32_t rounded[8];
    for (float& value : values) value = static_cast<float>(static_cast<int32_t>(random() % 4'000'000) - 2'000'000) / 2;
    store_bits256(rounded, f32_to_i32(load_f32x8(values)));
    int8_t codes[32], x[32];
    for (int i = 0; i < 32; ++i) {
      codes[i] = static_cast<int8_t>(random());
      x[i] = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    }
    int32_t sums[8];
    store_bits256(sums, dot_quad(i32x8(5), load_bits256(codes), load_bits256(x)));
    for (int i = 0; i < 8; ++i) {
      REQUIRE(rounded[i] == static_cast<int32_t>(std::nearbyint(values[i])));
      int32_t expected = 5;
      for (int j = 0; j < 4; ++j) expected += codes[i * 4 + j] * x[i * 4 + j];
      REQUIRE(sums[i] == expected);
    }
  }
}

}  // namespace
}  // namespace tesserae
