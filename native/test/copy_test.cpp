// Tests of copy: every pair of types between layouts of up to eight dimensions, and the rounding of f16 and bf16.
#include "kernels/copy.h"

#include <array>

#include "kernels/half.h"
#include "rows_testing.h"

namespace tesserae::testing {
namespace {

using Dims = std::array<int64_t, kCopyDims>;

// Strides of a tensor whose dimensions have the given order in memory, slowest first, with padded rows.
Dims dense_strides(const Dims& size, const std::array<int, kCopyDims>& order, int64_t padding) {
  Dims strides{};
  int64_t stride = 1;
  for (int i = kCopyDims - 1; i >= 0; --i) {
    strides[static_cast<size_t>(order[static_cast<size_t>(i)])] = stride;
    stride = stride * size[static_cast<size_t>(order[static_cast<size_t>(i)])] + (i == kCopyDims - 1 ? padding : 0);
  }
  return strides;
}

int64_t extent(const Dims& size, const Dims& strides) {
  int64_t last = 0;
  for (size_t dim = 0; dim < kCopyDims; ++dim) last += (size[dim] - 1) * strides[dim];
  return last + 1;
}

int64_t elements(const Dims& size) {
  int64_t count = 1;
  for (int64_t length : size) count *= length;
  return count;
}

int64_t offset_of(int64_t element, const Dims& size, const Dims& strides) {
  int64_t offset = 0;
  for (size_t dim = kCopyDims; dim-- > 0; element /= size[dim]) offset += element % size[dim] * strides[dim];
  return offset;
}

template <typename From, typename To>
To converted(From value) {
  if constexpr (std::is_same_v<From, To>) return value;
  if constexpr (std::is_same_v<From, float>) return float_to_half(value);
  return static_cast<To>(half_to_float(static_cast<uint16_t>(value)));
}

struct CopyTypes {
  DType from;
  DType to;
};

template <typename From, typename To>
void check_copy(const CopyTypes& types, const Dims& size, const Dims& x_strides, const Dims& y_strides) {
  constexpr int64_t kGuard = 9;  // odd, so that operands are misaligned
  Random random(13);
  std::vector<From> x(static_cast<size_t>(extent(size, x_strides) + kGuard));
  for (From& value : x) value = static_cast<From>(random.uniform() * 30000);
  To filler;
  std::memset(&filler, 0xff, sizeof(To));
  std::vector<To> expected(static_cast<size_t>(extent(size, y_strides) + 2 * kGuard), filler);
  for (int64_t element = 0; element < elements(size); ++element) {
    expected[static_cast<size_t>(kGuard + offset_of(element, size, y_strides))] =
        converted<From, To>(x[static_cast<size_t>(kGuard + offset_of(element, size, x_strides))]);
  }
  const int64_t rows = elements(size) / size[kCopyDims - 1];
  for (Isa isa : instruction_sets()) {
    for (int64_t tile_rows : {int64_t{1}, int64_t{8}, int64_t{13}, rows}) {
      CAPTURE(std::string(kernel_set(isa).isa));
      CAPTURE(tile_rows);
      std::vector<To> y(expected.size(), filler);
      CopyParams params{x.data() + kGuard, y.data() + kGuard, static_cast<int64_t>(types.from),
                        static_cast<int64_t>(types.to), tile_rows, {}, {}, {}};
      std::copy(size.begin(), size.end(), params.size);
      std::copy(x_strides.begin(), x_strides.end(), params.x_stride);
      std::copy(y_strides.begin(), y_strides.end(), params.y_stride);
      REQUIRE(run_tiles(kernel_named("copy", isa), params, tiles_of(rows, tile_rows)) == KernelStatus::ok);
      CHECK(same_bits(y, expected));
    }
  }
}

void check_all_types(const Dims& size, const Dims& x_strides, const Dims& y_strides) {
  CAPTURE(size[6]);
  CAPTURE(size[7]);
  check_copy<float, float>({DType::f32, DType::f32}, size, x_strides, y_strides);
  check_copy<float, uint16_t>({DType::f32, DType::f16}, size, x_strides, y_strides);
  check_copy<uint16_t, float>({DType::f16, DType::f32}, size, x_strides, y_strides);
  check_copy<uint16_t, uint16_t>({DType::f16, DType::f16}, size, x_strides, y_strides);
  check_copy<int8_t, int8_t>({DType::i8, DType::i8}, size, x_strides, y_strides);
  check_copy<int32_t, int32_t>({DType::i32, DType::i32}, size, x_strides, y_strides);
}

constexpr std::array<int, kCopyDims> kPlain{0, 1, 2, 3, 4, 5, 6, 7};
constexpr std::array<int, kCopyDims> kTransposed{0, 1, 2, 3, 4, 5, 7, 6};
constexpr std::array<int, kCopyDims> kReversed{7, 6, 5, 4, 3, 2, 1, 0};
constexpr std::array<int, kCopyDims> kMiddle{0, 1, 2, 3, 6, 4, 5, 7};

TEST_CASE("copy: rows and transpositions of every size around the micro-tile and the pass") {
  for (int64_t rows : {1, 7, 8, 9, 17, 63, 64, 65, 129}) {
    for (int64_t columns : {1, 7, 8, 9, 17, 40}) {
      const Dims size{1, 1, 1, 1, 1, 2, rows, columns};
      const Dims plain = dense_strides(size, kPlain, 3);
      const Dims transposed = dense_strides(size, kTransposed, 5);
      check_all_types(size, plain, plain);
      check_all_types(size, plain, transposed);
      check_all_types(size, transposed, plain);
      check_all_types(size, transposed, transposed);
    }
  }
}

TEST_CASE("copy: eight dimensions, permuted, stepped and repeated") {
  const Dims size{2, 1, 2, 3, 2, 3, 4, 11};
  const Dims plain = dense_strides(size, kPlain, 0);
  check_all_types(size, dense_strides(size, kReversed, 1), plain);
  check_all_types(size, plain, dense_strides(size, kReversed, 1));
  check_all_types(size, dense_strides(size, kMiddle, 0), plain);
  Dims stepped = plain;
  for (int64_t& stride : stepped) stride *= 2;
  check_all_types(size, stepped, plain);
  check_all_types(size, plain, stepped);
  for (size_t repeated = 0; repeated < kCopyDims; ++repeated) {
    Dims x_strides = plain;
    x_strides[repeated] = 0;
    check_all_types(size, x_strides, plain);
  }
  check_all_types(size, {}, plain);
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Copies one row of `count` elements.
void convert_row(Isa isa, const void* x, DType from, void* y, DType to, size_t count) {
  CopyParams params{x, y, static_cast<int64_t>(from), static_cast<int64_t>(to), 1, {}, {}, {}};
  std::fill_n(params.size, kCopyDims, 1);
  params.size[kCopyDims - 1] = static_cast<int64_t>(count);
  params.x_stride[kCopyDims - 1] = params.y_stride[kCopyDims - 1] = 1;
  REQUIRE(run_tiles(kernel_named("copy", isa), params, 1) == KernelStatus::ok);
}

// All 65536 halves to f32 and back, and floats at, below and above every rounding boundary.
TEST_CASE("copy: f16 is exact one way, and rounds to nearest even the other") {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> borders{0x1p-25f, -0x1p-25f, 65519.996f, 65520.0f, INFINITY, -INFINITY, 1e-45f, 3e38f};
  for (uint16_t half = 0; half < 0x7c00; ++half) {
    const double middle = (static_cast<double>(half_to_float(half)) + half_to_float(static_cast<uint16_t>(half + 1))) / 2;
    const float border = half == 0x7bff ? 65520.0f : static_cast<float>(middle);
    for (float value : {std::nextafter(border, 0.0f), border, std::nextafter(border, INFINITY)}) {
      borders.push_back(value);
      borders.push_back(-value);
    }
  }
  for (Isa isa : instruction_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    std::vector<float> floats(halves.size());
    convert_row(isa, halves.data(), DType::f16, floats.data(), DType::f32, halves.size());
    std::vector<uint16_t> back(halves.size());
    convert_row(isa, floats.data(), DType::f32, back.data(), DType::f16, halves.size());
    int wrong = 0;
    for (size_t i = 0; i < halves.size(); ++i) {
      const int exponent = (halves[i] >> 10) & 31;
      const double fraction = halves[i] & 1023;
      const double magnitude = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
      const bool special = exponent == 31;
      if (!special && std::fabs(floats[i]) != magnitude) ++wrong;
      if (special && (fraction == 0 ? !std::isinf(floats[i]) : !std::isnan(floats[i]))) ++wrong;
      const auto quiet = static_cast<uint16_t>(special && fraction != 0 ? halves[i] | 0x200 : halves[i]);
      if (back[i] != quiet) ++wrong;
    }
    CHECK(wrong == 0);

    std::vector<uint16_t> rounded(borders.size());
    convert_row(isa, borders.data(), DType::f32, rounded.data(), DType::f16, borders.size());
    for (size_t i = 0; i < borders.size(); ++i) {
      const double value = std::fabs(static_cast<double>(borders[i]));
      const uint16_t got = rounded[i] & 0x7fff;
      if (std::signbit(borders[i]) != ((rounded[i] & 0x8000) != 0)) ++wrong;
      if (value >= 65520) {
        wrong += got != 0x7c00;
        continue;
      }
      const double here = std::fabs(value - half_to_float(got));
      const double above = got == 0x7bff ? 65536 - value : half_to_float(static_cast<uint16_t>(got + 1)) - value;
      const double below = got == 0 ? INFINITY : value - half_to_float(static_cast<uint16_t>(got - 1));
      const double nearest = std::min(std::fabs(above), std::fabs(below));
      if (here > nearest || (here == nearest && (got & 1))) ++wrong;
    }
    CHECK(wrong == 0);
  }
  const float signalling = float_of(0x7f801000);
  CHECK(float_to_half(signalling) == 0x7e00);
}

// All 65536 bfloats to f32 and back, and floats at, below and above every rounding boundary.
TEST_CASE("copy: bf16 is exact one way, and rounds to nearest even the other") {
  std::vector<uint16_t> bfloats(65536);
  for (size_t i = 0; i < bfloats.size(); ++i) bfloats[i] = static_cast<uint16_t>(i);
  std::vector<float> borders;
  std::vector<uint16_t> expected;
  for (uint32_t upper = 0; upper < 0x7f80; ++upper) {
    for (const uint32_t sign : {0u, 0x8000u}) {
      const uint32_t bits = (upper | sign) << 16;
      const uint32_t even = upper % 2 == 0 ? upper : upper + 1;
      for (const uint32_t lower : {0x7fffu, 0x8000u, 0x8001u}) {
        borders.push_back(float_of(bits | lower));
        const uint32_t rounded = lower < 0x8000 ? upper : lower == 0x8000 ? even : upper + 1;
        expected.push_back(static_cast<uint16_t>(rounded | sign));
      }
    }
  }
  for (Isa isa : instruction_sets()) {
    CAPTURE(std::string(kernel_set(isa).isa));
    std::vector<float> floats(bfloats.size());
    convert_row(isa, bfloats.data(), DType::bf16, floats.data(), DType::f32, bfloats.size());
    std::vector<uint16_t> back(bfloats.size());
    convert_row(isa, floats.data(), DType::f32, back.data(), DType::bf16, bfloats.size());
    int wrong = 0;
    for (size_t i = 0; i < bfloats.size(); ++i) {
      uint32_t bits;
      std::memcpy(&bits, &floats[i], 4);
      const bool is_nan = (bfloats[i] & 0x7fff) > 0x7f80;
      if (bits != static_cast<uint32_t>(bfloats[i]) << 16) ++wrong;
      if (back[i] != (is_nan ? bfloats[i] | 0x40 : bfloats[i])) ++wrong;
    }
    CHECK(wrong == 0);
    std::vector<uint16_t> rounded(borders.size());
    convert_row(isa, borders.data(), DType::f32, rounded.data(), DType::bf16, borders.size());
    CHECK(rounded == expected);
  }
}

}  // namespace
}  // namespace tesserae::testing
