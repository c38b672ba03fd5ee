// Tests of the quantized kernels: quantize_rows, packing, products and lookups of all types, against float64, the
// kernel sets against each other, and for any tiles, numbers of rows and targets.
#include "kernels/matmul_quantized.h"

#include <cmath>

#include "kernels/embedding_quantized.h"
#include "kernels/mul.h"
#include "kernels/pack_quantized.h"
#include "kernels/quantize_rows.h"
#include "kernels/rms_norm.h"
#include "kernels/silu_mul.h"
#include "quantized_blocks.h"

namespace tesserae::testing {
namespace {

constexpr unsigned char kGuardByte = 0xa5;

std::vector<unsigned char> pack(const QuantizedWeights& w, Isa isa, int64_t tile_strips) {
  const int64_t bytes = strip_count(w.n) * strip_bytes(quantized_format(w.type), w.k);
  std::vector<unsigned char> image(static_cast<size_t>(bytes + 64), kGuardByte);
  const PackQuantizedParams params{w.blocks(), image.data(), static_cast<int64_t>(w.type), w.n, w.k, tile_strips};
  REQUIRE(run_tiles(kernel_named("pack_quantized", isa), params, tiles_of(strip_count(w.n), tile_strips)) ==
          KernelStatus::ok);
  for (int64_t i = 0; i < 64; ++i) REQUIRE(image[static_cast<size_t>(bytes + i)] == kGuardByte);
  image.resize(static_cast<size_t>(bytes));
  return image;
}

QuantizedWeights random_weights(QuantizedType type, int64_t n, int64_t k, uint64_t seed) {
  const QuantizedFormat& format = quantized_format(type);
  Random random(seed);
  const int64_t count = n * (k / format.block_elements);
  const std::vector<unsigned char> bytes = random_blocks(type, count, random);
  QuantizedWeights w{type, n, k, {}, {}, std::vector<double>(static_cast<size_t>(n * k))};
  w.file.resize(QuantizedWeights::kMisalignment, kGuardByte);
  w.file.insert(w.file.end(), bytes.begin(), bytes.end());
  for (int64_t b = 0; b < count; ++b) {
    dequantize_oracle(type, bytes.data() + b * format.block_bytes, w.values.data() + b * format.block_elements);
  }
  w.image = pack(w, Isa::ref, 2);
  return w;
}

std::vector<ActivationBlock> quantize(const std::vector<float>& x, int64_t columns, Isa isa, int64_t tile_rows = 3) {
  const int64_t rows = static_cast<int64_t>(x.size()) / columns;
  std::vector<ActivationBlock> y(x.size() / kActivationBlock);
  const QuantizeRowsParams params{x.data(), y.data(), columns, tile_rows, {{1, 1, 1, rows}}, {{0, 0, 0, columns}}};
  REQUIRE(run_tiles(kernel_named("quantize_rows", isa), params, tiles_of(rows, tile_rows)) == KernelStatus::ok);
  return y;
}

// A product: its operands and how to run it. Rows of the output are surrounded by guards.
struct Product {
  const QuantizedWeights& w;
  std::vector<ActivationBlock> x;
  int64_t m;
  const float* bias = nullptr;
  const float* residual = nullptr;  // [m][n]
  Activation activation = Activation::none;

  std::vector<float> run(Isa isa, int64_t tile_m, int64_t tile_n) const {
    const int64_t c_rs = w.n + 5;
    std::vector<float> c(static_cast<size_t>(m * c_rs), -77.0f);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < w.n; ++j) c[static_cast<size_t>(i * c_rs + j)] = NAN;
    }
    MatmulQuantizedParams p{};
    p.x = x.data();
    p.m = m, p.k = w.k, p.tile_m = tile_m, p.targets = 1;
    p.target[0] = {w.image.data(), c.data(), bias,   residual, static_cast<int64_t>(w.type),      w.n,
                   c_rs,           1,        w.n,    static_cast<int64_t>(activation), tile_n, 0};
    REQUIRE(run_tiles(kernel_named("matmul_quantized", isa), p, tiles_of(m, tile_m) * tiles_of(w.n, tile_n)) == KernelStatus::ok);
    std::vector<float> out;
    for (int64_t i = 0; i < m; ++i) {
      const float* row = c.data() + i * c_rs;
      out.insert(out.end(), row, row + w.n);
      for (int64_t j = w.n; j < c_rs; ++j) REQUIRE(row[j] == -77.0f);
    }
    return out;
  }

  std::vector<double> expected() const {
    std::vector<double> out;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < w.n; ++j) {
        double sum = 0;
        for (int64_t q = 0; q < w.k; ++q) {
          const ActivationBlock& block = x[static_cast<size_t>((i * w.k + q) / kActivationBlock)];
          sum += static_cast<double>(block.scale) * block.values[q % kActivationBlock] *
                 w.values[static_cast<size_t>(j * w.k + q)];
        }
        if (bias) sum += static_cast<double>(bias[j]);
        if (activation == Activation::relu) sum = std::max(sum, 0.0);
        if (residual) sum += static_cast<double>(residual[i * w.n + j]);
        out.push_back(sum);
      }
    }
    return out;
  }
};

TEST_CASE("quantize_rows: close to the row, same bits with every set, sums, special values") {
  for (int64_t columns : {32, 64, 96, 1056}) {
    std::vector<float> x = random_floats(5 * columns, static_cast<uint64_t>(columns));
    const std::vector<ActivationBlock> y = quantize(x, columns, Isa::ref);
    for (size_t b = 0; b < y.size(); ++b) {
      int32_t sum = 0;
      for (size_t i = 0; i < 32; ++i) {
        CHECK(std::fabs(y[b].scale * y[b].values[i] - x[b * 32 + i]) <= y[b].scale * 0.5001f);
        sum += y[b].values[i];
        if (i == 15) CHECK(y[b].half_sums[0] == sum);
      }
      CHECK(y[b].sum == sum);
      CHECK(y[b].half_sums[1] == sum - y[b].half_sums[0]);
    }
    for (Isa isa : instruction_sets()) {
      for (int64_t tile_rows : {1, 2, 7}) {
        const std::vector<ActivationBlock> other = quantize(x, columns, isa, tile_rows);
        CHECK(std::memcmp(y.data(), other.data(), y.size() * sizeof(y[0])) == 0);
      }
    }
  }
  for (Isa isa : instruction_sets()) {
    std::vector<float> x(7 * 32, 0.0f);
    x[0] = 1e-42f;               // too small: its inverse is infinite
    x[32] = -3.0f, x[33] = 1.5f * 3.0f / 127.0f, x[34] = 2.5f * 3.0f / 127.0f;
    x[64] = NAN, x[65] = 1.0f;
    x[96 + 31] = -INFINITY;
    x[128 + 5] = 3e38f;
    const std::vector<ActivationBlock> y = quantize(x, 32, isa);
    CHECK(y[0].scale == 0.0f);
    CHECK(y[1].values[0] == -127);
    CHECK(y[1].values[1] == 2);  // ties go to the even number
    CHECK(y[1].values[2] == 2);
    CHECK(std::isnan(y[2].scale));
    CHECK(std::isinf(y[3].scale));
    CHECK(y[3].values[31] == 0);
    CHECK(y[4].values[5] == 127);
    CHECK(y[5].scale == 0.0f);
  }
}

TEST_CASE("rms_norm and silu_mul: the blocks of their result equal what quantize_rows computes from it") {
  const int64_t columns = 96, rows = 5;
  const std::vector<float> x = random_floats(rows * columns, 1);
  const std::vector<float> other = random_floats(rows * columns, 2);
  const OuterShape outer{{1, 1, 1, rows}};
  const OuterStrides strides{{0, 0, 0, columns}};
  for (Isa isa : instruction_sets()) {
    for (int64_t tile_rows : {1, 3}) {
      std::vector<float> y(x.size());
      std::vector<ActivationBlock> blocks(x.size() / kActivationBlock);
      const auto check = [&](const char* name, const auto& params) {
        CAPTURE(std::string(name));
        REQUIRE(run_tiles(kernel_named(name, isa), params, tiles_of(rows, tile_rows)) == KernelStatus::ok);
        const std::vector<ActivationBlock> expected = quantize(y, columns, isa);
        CHECK(std::memcmp(blocks.data(), expected.data(), blocks.size() * sizeof(blocks[0])) == 0);
      };
      check("rms_norm", RmsNormParams{x.data(), y.data(), other.data(), 1e-5, columns, tile_rows, outer, strides,
                                      strides, blocks.data()});
      check("silu_mul", SiluMulParams{x.data(), other.data(), y.data(), columns, tile_rows, outer, strides, strides,
                                      strides, blocks.data()});
    }
  }
}

TEST_CASE("pack_quantized: the image reads back as the file, is the same with every set, and is hardly larger") {
  for (QuantizedType type : quantized_types()) {
    CAPTURE(static_cast<int64_t>(type));
    const QuantizedFormat& format = quantized_format(type);
    for (int64_t n : {1, 7, 8, 9, 24}) {
      const int64_t k = 3 * format.block_elements;
      const QuantizedWeights w = random_weights(type, n, k, static_cast<uint64_t>(n));
      BlockFields fields{};
      for (int64_t row = 0; row < n; ++row) {
        for (int64_t i = 0; i < k; ++i) {
          const int64_t e = i % format.block_elements;
          if (e == 0) read_packed_block(type, w.image.data(), k, row, i / format.block_elements, fields);
          const int64_t g = e / format.group;
          const double value = static_cast<double>(fields.scale(g)) * level_of(format, fields, e) +
                               static_cast<double>(fields.min(format, g));
          REQUIRE(value == doctest::Approx(w.values[static_cast<size_t>(row * k + i)]).epsilon(1e-12));
        }
      }
      for (Isa isa : instruction_sets()) {
        for (int64_t tile_strips : {1, 2, 5}) CHECK(pack(w, isa, tile_strips) == w.image);
      }
      if (n % 8 == 0) CHECK(static_cast<double>(w.image.size()) <= 1.05 * static_cast<double>(w.file.size()));
    }
  }
}

TEST_CASE("matmul_quantized: float64, the same bits with every set, any tiles, rows alone") {
  for (QuantizedType type : quantized_types()) {
    const int64_t block = quantized_format(type).block_elements;
    struct Shape {
      int64_t m, n, blocks;
    };
    for (const Shape& s : {Shape{1, 1, 1}, {1, 8, 2}, {3, 17, 3}, {4, 16, 1024 / block}, {9, 33, 1024 / block + 1},
                           {13, 7, 2048 / block + 1}, {8, 40, 5}, {21, 24, 1}}) {
      CAPTURE(static_cast<int64_t>(type));
      CAPTURE(s.m);
      CAPTURE(s.n);
      CAPTURE(s.blocks);
      const int64_t k = s.blocks * block;
      const QuantizedWeights w = random_weights(type, s.n, k, static_cast<uint64_t>(k + s.n));
      const std::vector<float> x = random_floats(s.m * k, 77);
      const std::vector<float> bias = random_floats(s.n, 78);
      const std::vector<float> residual = random_floats(s.m * s.n, 79);
      Product product{w, quantize(x, k, Isa::ref), s.m};
      const std::vector<float> plain = product.run(Isa::ref, s.m, s.n);
      CHECK(nmse(plain, product.expected()) < 1e-11);
      for (Isa isa : instruction_sets()) {
        for (int64_t tile_m : {s.m, int64_t{1}, int64_t{4}, int64_t{10}}) {
          for (int64_t tile_n : {s.n, int64_t{16}}) {
            CAPTURE(tile_m);
            CHECK(same_bits(product.run(isa, tile_m, tile_n), plain));
          }
        }
        // The last row alone.
        Product alone{w, quantize(std::vector<float>(x.end() - k, x.end()), k, isa), 1};
        CHECK(same_bits(alone.run(isa, 1, s.n), std::vector<float>(plain.end() - s.n, plain.end())));
      }
      product.bias = bias.data();
      product.residual = residual.data();
      product.activation = Activation::relu;
      const std::vector<float> full = product.run(Isa::ref, s.m, s.n);
      CHECK(nmse(full, product.expected()) < 1e-11);
      for (Isa isa : instruction_sets()) CHECK(same_bits(product.run(isa, 5, 16), full));
    }
  }
}

TEST_CASE("matmul_quantized: each number of rows has the bits that its rows have alone") {
  for (QuantizedType type : quantized_types()) {
    CAPTURE(static_cast<int64_t>(type));
    const int64_t k = quantized_format(type).block_elements * (quantized_format(type).block_elements == 32 ? 11 : 2);
    const QuantizedWeights w = random_weights(type, 37, k, 21);
    const std::vector<ActivationBlock> x = quantize(random_floats(19 * k, 22), k, Isa::ref);
    const std::vector<float> plain = Product{w, x, 19}.run(Isa::ref, 19, 37);
    for (Isa isa : instruction_sets()) {
      for (int64_t m = 1; m <= 19; ++m) {
        CAPTURE(m);
        CHECK(same_bits(Product{w, x, m}.run(isa, m, 37), std::vector<float>(plain.begin(), plain.begin() + m * 37)));
      }
    }
  }
}

TEST_CASE("matmul_quantized: many rows, whose sums and activations do not fit into scratch at once") {
  struct Shape {
    int64_t m, n, k;
  };
  for (const Shape& s : {Shape{256, 1100, 32}, {200, 40, 1312}}) {
    const QuantizedWeights w = random_weights(QuantizedType::q8_0, s.n, s.k, 31);
    const Product product{w, quantize(random_floats(s.m * s.k, 32), s.k, Isa::ref), s.m};
    const std::vector<float> plain = product.run(Isa::ref, s.m, s.n);
    for (Isa isa : instruction_sets()) CHECK(same_bits(product.run(isa, s.m, s.n), plain));
  }
}

TEST_CASE("matmul_quantized: codes and activations at their limits do not overflow") {
  for (QuantizedType type : quantized_types()) {
    CAPTURE(static_cast<int64_t>(type));
    const QuantizedFormat& format = quantized_format(type);
    const int64_t n = 16, k = 1024, m = 5;
    for (unsigned char fill : {0x00, 0xff, 0x80, 0x7f}) {
      QuantizedWeights w = random_weights(type, n, k, 5);
      for (int64_t b = 0; b < n * k / format.block_elements; ++b) {
        unsigned char* bytes = w.file.data() + QuantizedWeights::kMisalignment + b * format.block_bytes;
        std::memset(bytes, fill, static_cast<size_t>(format.block_bytes));
        const HalfPlaces places = half_places(type);
        for (const int place : {places.d, places.dmin}) {
          if (place >= 0) bytes[place] = 0x00, bytes[place + 1] = 0x2c;  // 1/16
        }
        dequantize_oracle(type, bytes, w.values.data() + b * format.block_elements);
      }
      w.image = pack(w, Isa::ref, 1);
      for (float sign : {1.0f, -1.0f}) {
        const Product product{w, quantize(std::vector<float>(static_cast<size_t>(m * k), sign), k, Isa::ref), m};
        const std::vector<float> plain = product.run(Isa::ref, m, n);
        CHECK(nmse(plain, product.expected()) < 1e-11);
        for (Isa isa : instruction_sets()) {
          CHECK(same_bits(product.run(isa, m, n), plain));
          CHECK(same_bits(product.run(isa, 16, n), plain));
        }
      }
    }
  }
}

TEST_CASE("matmul_quantized: several targets in one op have the bits that they have alone") {
  const QuantizedWeights a = random_weights(QuantizedType::q4_k, 40, 512, 1);
  const QuantizedWeights b = random_weights(QuantizedType::q6_k, 17, 512, 2);
  const QuantizedWeights c = random_weights(QuantizedType::q8_0, 24, 512, 3);
  for (int64_t m : {1, 11}) {
    const std::vector<ActivationBlock> x = quantize(random_floats(m * 512, 4), 512, Isa::ref);
    for (Isa isa : instruction_sets()) {
      MatmulQuantizedParams p{};
      p.x = x.data();
      p.m = m, p.k = 512, p.tile_m = 6, p.targets = 3;
      int64_t tiles = 0;
      std::vector<std::vector<float>> out;
      for (const QuantizedWeights* w : {&a, &b, &c}) out.emplace_back(static_cast<size_t>(m * w->n), NAN);
      int index = 0;
      for (const QuantizedWeights* w : {&a, &b, &c}) {
        QuantizedTarget& t = p.target[index];
        t.image = w->image.data(), t.c = out[static_cast<size_t>(index)].data();
        t.type = static_cast<int64_t>(w->type), t.n = w->n, t.c_rs = w->n, t.tile_n = 16, t.first_tile = tiles;
        tiles += tiles_of(m, 6) * tiles_of(w->n, 16);
        ++index;
      }
      REQUIRE(run_tiles(kernel_named("matmul_quantized", isa), p, tiles) == KernelStatus::ok);
      index = 0;
      for (const QuantizedWeights* w : {&a, &b, &c}) {
        CHECK(same_bits(out[static_cast<size_t>(index++)], Product{*w, x, m}.run(isa, m, w->n)));
      }
    }
  }
}

// Rows that are normed in the op, and the unit of its two targets, of which the first one has an activation or none.
void check_gated(Activation activation) {
  constexpr int64_t k = 512;
  const QuantizedWeights gate = random_weights(QuantizedType::q4_k, 96, k, 1);
  const QuantizedWeights up = random_weights(QuantizedType::q8_0, 96, k, 2);
  const std::vector<float> weight = random_floats(k, 5);
  for (const int64_t m : {1, 2, 7}) {
    const std::vector<float> x = random_floats(m * (k + 3), 4);
    const auto size = static_cast<size_t>(m * gate.n);
    const OuterShape outer = {{1, 1, 1, m}};
    for (const Isa isa : instruction_sets()) {
      CAPTURE(std::string(kernel_set(isa).isa));
      for (const bool has_weight : {false, true}) {
        std::vector<float> y(static_cast<size_t>(m * k));
        std::vector<ActivationBlock> rows(y.size() / kActivationBlock), expected(size / kActivationBlock);
        const RmsNormParams norm{x.data(), y.data(), has_weight ? weight.data() : nullptr, 1e-5, k, m, outer,
                                 {{0, 0, 0, k + 3}}, {{0, 0, 0, k}}, rows.data()};
        REQUIRE(run_tiles(kernel_named("rms_norm", isa), norm, 1) == KernelStatus::ok);
        std::vector<float> gated = Product{gate, rows, m, nullptr, nullptr, activation}.run(isa, m, gate.n);
        const std::vector<float> other = Product{up, rows, m}.run(isa, m, up.n);
        const OuterStrides strides = {{0, 0, 0, gate.n}};
        if (activation == Activation::none) {
          const SiluMulParams unit{gated.data(), other.data(), gated.data(), gate.n, m, outer, strides, strides, strides, expected.data()};
          REQUIRE(run_tiles(kernel_named("silu_mul", isa), unit, 1) == KernelStatus::ok);
        } else {
          const MulParams unit{gated.data(), other.data(), gated.data(), gate.n, m, 1, 1, outer, strides, strides, strides};
          REQUIRE(run_tiles(kernel_named("mul", isa), unit, 1) == KernelStatus::ok);
          expected = quantize(gated, gate.n, isa);
        }
        for (const int64_t tile_n : {32, 64, 96}) {
          std::vector<float> first(size, NAN), second(size, NAN);
          std::vector<ActivationBlock> blocks(expected.size());
          MatmulQuantizedParams p{};
          p.m = p.tile_m = m, p.k = k, p.targets = 2, p.gated = 1, p.blocks = blocks.data();
          p.unnormed = {x.data(), k + 3, has_weight ? weight.data() : nullptr, 1e-5};
          p.target[0] = {gate.image.data(), first.data(), nullptr, nullptr, static_cast<int64_t>(gate.type), gate.n, gate.n, 1, 0, static_cast<int64_t>(activation), tile_n, 0};
          p.target[1] = {up.image.data(), second.data(), nullptr, nullptr, static_cast<int64_t>(up.type), up.n, up.n, 1, 0, 0, tile_n, 0};
          REQUIRE(run_tiles(kernel_named("matmul_quantized", isa), p, tiles_of(gate.n, tile_n)) == KernelStatus::ok);
          CHECK(same_bits(first, gated));
          CHECK(same_bits(second, other));
          CHECK(std::memcmp(blocks.data(), expected.data(), blocks.size() * sizeof(ActivationBlock)) == 0);
        }
      }
    }
  }
}

TEST_CASE("matmul_quantized: rows that it norms, and gated targets, have the bits of the ops one by one") {
  for (const Activation activation : {Activation::none, Activation::gelu, Activation::gelu_tanh}) {
    CAPTURE(static_cast<int64_t>(activation));
    check_gated(activation);
  }
}

TEST_CASE("embedding_quantized: rows by id, guards, ids out of range") {
  for (QuantizedType type : quantized_types()) {
    CAPTURE(static_cast<int64_t>(type));
    const int64_t k = 2 * quantized_format(type).block_elements;
    const QuantizedWeights w = random_weights(type, 11, k, 9);
    std::vector<int32_t> ids{10, 0, 7, 8, 3, 10};
    std::vector<float> first;
    for (Isa isa : instruction_sets()) {
      for (int64_t tile_rows : {1, 4, 6}) {
        Rows<float> y({{1, 1, 1, 6}}, k, Layout::gapped);
        EmbeddingQuantizedParams p{w.image.data(), static_cast<int64_t>(type), 11, ids.data(),    y.data(), k,
                                   tile_rows,      y.outer(),                  {{0, 0, 0, 1}}, y.strides()};
        REQUIRE(run_tiles(kernel_named("embedding_quantized", isa), p, tiles_of(6, tile_rows)) == KernelStatus::ok);
        CHECK(y.guards_intact());
        std::vector<double> expected;
        for (int32_t id : ids) expected.insert(expected.end(), w.values.begin() + id * k, w.values.begin() + (id + 1) * k);
        CHECK(nmse(y.values(), expected) < 1e-13);
        if (first.empty()) first = y.values();
        CHECK(same_bits(y.values(), first));
      }
      Rows<float> y({{1, 1, 1, 1}}, k, Layout::contiguous);
      for (int32_t id : {-1, 11}) {
        EmbeddingQuantizedParams p{w.image.data(), static_cast<int64_t>(type), 11, &id,          y.data(), k,
                                   1,              y.outer(),                  {{0, 0, 0, 1}}, y.strides()};
        CHECK(run_tiles(kernel_named("embedding_quantized", isa), p, 1) == KernelStatus::index_out_of_range);
      }
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
