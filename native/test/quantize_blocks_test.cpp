// Tests of quantize_blocks: blocks computed by hand, tiles, single blocks, all kernel sets, source types, and values
// that cannot be encoded. test/ops/quantized/quantize-blocks.test.ts tests the error of the blocks.
#include "kernels/quantize_blocks.h"

#include "kernels/half.h"
#include "rows_testing.h"

namespace tesserae::testing {
namespace {

struct Written {
  FileType type;
  int elements;
  int bytes;
};
const Written kWritten[] = {{FileType::f16, 1, 2},      {FileType::q4_0, 32, 18},    {FileType::q5_0, 32, 22},
                            {FileType::q5_1, 32, 24},   {FileType::q8_0, 32, 34},    {FileType::q4_k, 256, 144},
                            {FileType::q5_k, 256, 176}, {FileType::q6_k, 256, 210}};

constexpr size_t kGuardBytes = 16;

// Encodes from a misaligned source to a target between guards.
KernelStatus encode(Isa isa, const Written& to, FileType from, const std::vector<unsigned char>& source, int64_t blocks,
                    int64_t tile_blocks, std::vector<unsigned char>& encoded) {
  std::vector<unsigned char> shifted(source.size() + 1);
  std::copy(source.begin(), source.end(), shifted.begin() + 1);
  const size_t size = static_cast<size_t>(blocks * to.bytes);
  std::vector<unsigned char> target(size + 2 * kGuardBytes, 0xa5);
  const QuantizeBlocksParams params{shifted.data() + 1,
                                    static_cast<int64_t>(from),
                                    target.data() + kGuardBytes,
                                    static_cast<int64_t>(to.type),
                                    blocks,
                                    tile_blocks};
  const KernelStatus status = run_tiles(kernel_named("quantize_blocks", isa), params, tiles_of(blocks, tile_blocks));
  const auto is_guard = [](unsigned char byte) { return byte == 0xa5; };
  CHECK(std::all_of(target.begin(), target.begin() + kGuardBytes, is_guard));
  CHECK(std::all_of(target.end() - kGuardBytes, target.end(), is_guard));
  encoded.assign(target.begin() + kGuardBytes, target.end() - kGuardBytes);
  return status;
}

template <typename T>
std::vector<unsigned char> bytes_of(const std::vector<T>& values) {
  std::vector<unsigned char> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<unsigned char> encode_floats(const Written& to, const std::vector<float>& values) {
  std::vector<unsigned char> encoded;
  const auto blocks = static_cast<int64_t>(values.size()) / to.elements;
  REQUIRE(encode(Isa::ref, to, FileType::f32, bytes_of(values), blocks, 1, encoded) == KernelStatus::ok);
  return encoded;
}

// Groups of very different magnitudes; some are zero, constant, or of one sign.
std::vector<float> some_floats(int64_t count) {
  Random random(11);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const float value = random.uniform() * random.uniform() * std::ldexp(1.0f, static_cast<int>(i / 32 % 7) - 3);
    const int64_t kind = i / 32 % 11;
    values.push_back(kind == 3 ? 0.0f : kind == 5 ? -0.75f : kind == 6 ? std::fabs(value) : kind == 8 ? -std::fabs(value) : value);
  }
  return values;
}

TEST_CASE("quantize_blocks: blocks by hand") {
  std::vector<float> values(32);
  for (int i = 0; i < 32; ++i) values[i] = static_cast<float>(i - 16) * 0.5f;  // -8 to 7.5, the extreme is -8

  // The scale is 1: -8 becomes 0, and x + 8.5 is truncated.
  const auto q4 = encode_floats(kWritten[1], values);
  CHECK(half_to_float(static_cast<uint16_t>(q4[0] | q4[1] << 8)) == 1.0f);
  for (int i = 0; i < 16; ++i) {
    CHECK((q4[2 + i] & 15) == static_cast<int>(values[i] + 8.5f));
    CHECK((q4[2 + i] >> 4) == std::min(15, static_cast<int>(values[i + 16] + 8.5f)));
  }

  // The scale is 0.5: every value is exact.
  const auto q5 = encode_floats(kWritten[2], values);
  CHECK(half_to_float(static_cast<uint16_t>(q5[0] | q5[1] << 8)) == 0.5f);
  for (int i = 0; i < 32; ++i) {
    const int high = q5[2 + i / 8] >> (i % 8) & 1;
    const int low = i < 16 ? q5[6 + i] & 15 : q5[6 + i - 16] >> 4;
    CHECK(low + 16 * high == i);
  }

  values[0] = -127.0f;  // the scale is 1; halves are rounded away from zero
  const auto q8 = encode_floats(kWritten[4], values);
  CHECK(half_to_float(static_cast<uint16_t>(q8[0] | q8[1] << 8)) == 1.0f);
  CHECK(static_cast<int8_t>(q8[2]) == -127);
  CHECK(static_cast<int8_t>(q8[2 + 1]) == -8);   // -7.5
  CHECK(static_cast<int8_t>(q8[2 + 31]) == 8);   // 7.5
  CHECK(static_cast<int8_t>(q8[2 + 17]) == 1);   // 0.5
  CHECK(static_cast<int8_t>(q8[2 + 16]) == 0);
}

TEST_CASE("quantize_blocks: any tiles, a block alone, all kernel sets: the same bits") {
  for (const Written& to : kWritten) {
    CAPTURE(to.elements);
    CAPTURE(to.bytes);
    const int64_t blocks = 23;
    const auto values = some_floats(blocks * to.elements);
    const auto expected = encode_floats(to, values);
    for (Isa isa : instruction_sets()) {
      for (int64_t tile_blocks : {1, 2, 22, 23, 24}) {
        std::vector<unsigned char> encoded;
        REQUIRE(encode(isa, to, FileType::f32, bytes_of(values), blocks, tile_blocks, encoded) == KernelStatus::ok);
        CHECK(same_bits(encoded, expected));
      }
      const std::vector<float> last(values.end() - to.elements, values.end());
      std::vector<unsigned char> alone;
      REQUIRE(encode(isa, to, FileType::f32, bytes_of(last), 1, 1, alone) == KernelStatus::ok);
      CHECK(same_bits(alone, std::vector<unsigned char>(expected.end() - to.bytes, expected.end())));
    }
  }
}

TEST_CASE("quantize_blocks: f16 and bf16 sources are widened exactly") {
  for (const Written& to : kWritten) {
    const auto values = some_floats(4 * to.elements);
    std::vector<uint16_t> halves;
    std::vector<uint16_t> brains;
    std::vector<float> of_halves;
    std::vector<float> of_brains;
    for (float value : values) {
      halves.push_back(float_to_half(value));
      of_halves.push_back(half_to_float(halves.back()));
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      brains.push_back(static_cast<uint16_t>(bits >> 16));
      bits &= 0xffff0000;
      float brain;
      std::memcpy(&brain, &bits, 4);
      of_brains.push_back(brain);
    }
    for (Isa isa : instruction_sets()) {
      std::vector<unsigned char> encoded;
      REQUIRE(encode(isa, to, FileType::f16, bytes_of(halves), 4, 3, encoded) == KernelStatus::ok);
      CHECK(same_bits(encoded, encode_floats(to, of_halves)));
      REQUIRE(encode(isa, to, FileType::bf16, bytes_of(brains), 4, 3, encoded) == KernelStatus::ok);
      CHECK(same_bits(encoded, encode_floats(to, of_brains)));
    }
  }
}

TEST_CASE("quantize_blocks: zeros, tiny and huge values") {
  for (const Written& to : kWritten) {
    CAPTURE(to.bytes);
    for (float value : {0.0f, -0.0f, 1e-45f, -1e-38f, 1e-20f}) {
      CAPTURE(value);
      std::vector<float> values(static_cast<size_t>(to.elements), value);
      values.back() = -value;
      encode_floats(to, values);  // is encoded, without undefined conversions
    }
    for (float value : {NAN, INFINITY, -INFINITY, 1e38f, -1e38f}) {
      CAPTURE(value);
      std::vector<float> values(static_cast<size_t>(2 * to.elements), 1.0f);
      values.back() = value;
      for (Isa isa : instruction_sets()) {
        std::vector<unsigned char> encoded;
        CHECK(encode(isa, to, FileType::f32, bytes_of(values), 2, 1, encoded) == KernelStatus::value_out_of_range);
      }
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
