// Tests of matmul and pack_b: every path against the summation rule, bit for bit, and against float64.
#include <doctest/doctest.h>

#include <algorithm>

#include "matmul_fixture.h"

using namespace tesserae;
using namespace tesserae::test;

namespace {

constexpr int64_t kKc = kDefaultBlockSizes.kc;
constexpr int64_t kNc = kDefaultBlockSizes.nc;
constexpr int64_t kMc = kDefaultBlockSizes.mc;

// Whether the reference gives the same bits as the vector sets with this activation.
bool is_exact(Activation activation) { return activation == Activation::none || activation == Activation::relu; }

void check(const MatmulCase& c) {
  const std::string name = describe(c);
  CAPTURE(name);
  MatmulProblem problem(c);
  const std::vector<float> expected = problem.run(Isa::ref);
  const std::vector<double> oracle = problem.oracle();
  CHECK(normalised_error(expected, oracle) < 1e-9);
  std::vector<float> first;
  for (const Isa isa : vector_sets()) {
    const std::vector<float> got = problem.run(isa);
    CHECK(normalised_error(got, oracle) < 1e-9);
    if (is_exact(c.activation)) CHECK(same_bits(got, expected));
    if (first.empty()) first = got;
    CHECK(same_bits(got, first));
  }
}

constexpr MatmulPath kAllPaths[] = {MatmulPath::thin, MatmulPath::local_pack, MatmulPath::shared_pack};
constexpr Layout kLayouts[] = {Layout::rows, Layout::columns, Layout::strided};

TEST_CASE("matmul: block sizes change no bit") {
  for (const MatmulPath path : {MatmulPath::local_pack, MatmulPath::shared_pack}) {
    for (const Layout a : {Layout::rows, Layout::columns}) {
      MatmulCase c = {50, 75, 70, path};
      c.a = a, c.b = a == Layout::rows ? Layout::columns : Layout::rows, c.has_bias = true, c.residual = Residual::in_place, c.inner = 2;
      for (const Isa isa : instruction_sets()) {
        const std::vector<float> expected = MatmulProblem(c).run(isa, 50, 75);
        for (const BlockSizes& blocks : {BlockSizes{8, 16, 6}, BlockSizes{24, 48, 12}, BlockSizes{32, 16, 48},
                                         BlockSizes{64, 64, 600}, BlockSizes{1024, 256, 90}, BlockSizes{32, 144, 24}}) {
          REQUIRE(block_sizes_valid(blocks));
          MatmulCase other = c;
          other.blocks = blocks;
          CAPTURE(describe(other));
          CHECK(same_bits(MatmulProblem(other).run(isa, 50, 75), expected));
          CHECK(same_bits(MatmulProblem(other).run(isa, 31, 48), expected));
        }
      }
    }
  }
}

TEST_CASE("matmul: block sizes that are no whole panels, or more than the scratch memory holds") {
  CHECK(block_sizes_valid({8, 16, 6}));
  CHECK(!block_sizes_valid({0, 16, 6}));
  CHECK(!block_sizes_valid({12, 16, 6}));
  CHECK(!block_sizes_valid({8, 8, 6}));
  CHECK(!block_sizes_valid({8, 16, 7}));
  CHECK(!block_sizes_valid({4096, 128, 192}));
  CHECK(!block_sizes_valid({int64_t{1} << 40, 16, 6}));
}

}  // namespace

TEST_CASE("matmul: row counts around the micro-tile, on every path and layout") {
  for (const MatmulPath path : kAllPaths) {
    for (const Layout a : kLayouts) {
      for (const Layout b : kLayouts) {
        for (const DType b_dtype : {DType::f32, DType::f16, DType::bf16}) {
          for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 25}) {
            for (const int64_t n : {1, 5, 7, 8}) {
              MatmulCase c = {m, n, 21, path};
              c.a = a, c.b = b, c.b_dtype = b_dtype;
              c.has_bias = true, c.activation = Activation::relu;
              check(c);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("matmul: column counts around the panel and the block of n") {
  for (const MatmulPath path : {MatmulPath::local_pack, MatmulPath::shared_pack}) {
    for (const Layout b : kLayouts) {
      for (const int64_t n : {int64_t{1}, kNr - 1, kNr, kNr + 1, 2 * kNr + 9, kNc - 1, kNc, kNc + 1, 2 * kNc + 1}) {
        for (const int64_t m : {kMr + 1, int64_t{13}}) {
          MatmulCase c = {m, n, 17, path};
          c.b = b;
          // AVX-512 has micro-tiles of 32 columns for one of these sizes, and of 48 columns for the other.
          c.blocks.nc = m == 13 ? kNc : 144;
          check(c);
          c.has_bias = true, c.activation = Activation::relu, c.residual = Residual::separate;
          check(c);
          c.b_dtype = DType::bf16, c.residual = Residual::in_place;
          check(c);
          c.b_dtype = DType::f16, c.a = Layout::columns;
          check(c);
        }
      }
    }
  }
}

TEST_CASE("matmul: k around its block, with an epilogue that must run once") {
  for (const MatmulPath path : {MatmulPath::local_pack, MatmulPath::shared_pack}) {
    for (const int64_t k : {int64_t{1}, int64_t{2}, kKc - 1, kKc, kKc + 1, 2 * kKc, 2 * kKc + 1, 3 * kKc + 5}) {
      for (const Layout layout : kLayouts) {
        for (const Residual residual : {Residual::none, Residual::separate, Residual::in_place}) {
          MatmulCase c = {2 * kMr + 1, kNr + 9, k, path};
          c.a = layout, c.b = layout, c.residual = residual, c.has_bias = residual != Residual::none;
          check(c);
        }
      }
    }
  }
}

TEST_CASE("matmul: m around the blocks of packed A and of partial sums") {
  for (const Layout a : {Layout::rows, Layout::columns}) {
    for (const int64_t k : {int64_t{9}, kKc + 1}) {
      for (const int64_t m : {kMc - 1, kMc, kMc + 1, 2 * kMc + 1}) {
        MatmulCase c = {m, 9, k};
        c.a = a, c.residual = Residual::in_place;
        check(c);
      }
    }
    // Blocks so large that only few partial sums fit into scratch beside them.
    constexpr BlockSizes kLarge = {1024, 256, 240};
    constexpr int64_t kPartialRows = partial_rows<kMr>(kLarge, kNr);
    static_assert(kPartialRows % 12 == 0, "whole micro-tiles of any set");
    for (const int64_t m : {kPartialRows - 1, kPartialRows, kPartialRows + 1}) {
      MatmulCase c = {m, 9, kLarge.kc + 1};
      c.a = a, c.residual = Residual::in_place, c.blocks = kLarge;
      check(c);
    }
  }
}

TEST_CASE("matmul: the thin path around its strip and its block of k") {
  for (const DType b_dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const Layout layout : kLayouts) {
      for (const int64_t thin : {int64_t{1}, int64_t{3}, kThinFew, kThinFew + 1, int64_t{12}, int64_t{17}, kThinMax}) {
        const int64_t strip = std::min(kThinStrip, kThinSums / thin / 16 * 16);
        for (const int64_t wide : {int64_t{9}, int64_t{33}, strip - 1, strip, strip + 1, 2 * strip + 17, kThinStrip + 3}) {
          MatmulCase c = {thin, wide, 19, MatmulPath::thin};
          c.b = layout, c.b_dtype = b_dtype, c.has_bias = true, c.residual = Residual::in_place;
          check(c);
          MatmulCase mirrored = {wide, thin, 19, MatmulPath::thin};
          mirrored.a = layout, mirrored.b_dtype = b_dtype, mirrored.has_bias = true;
          mirrored.residual = Residual::separate;
          check(mirrored);
        }
        for (const int64_t k : {int64_t{1}, int64_t{7}, int64_t{8}, int64_t{17}, kThinKc - 1, kThinKc, kThinKc + 1,
                                2 * kThinKc + 3}) {
          MatmulCase c = {thin, 27, k, MatmulPath::thin};
          c.b = layout, c.b_dtype = b_dtype;
          check(c);
          MatmulCase mirrored = {27, thin, k, MatmulPath::thin};
          mirrored.a = layout, mirrored.b_dtype = b_dtype;
          check(mirrored);
        }
      }
    }
  }
}

// k and columns cover whole and partial squares of sixteen steps and columns; AVX-512 splits the rows into parts.
TEST_CASE("matmul: the thin path with each number of rows") {
  for (const DType b_dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const Layout layout : kLayouts) {
      for (int64_t thin = 1; thin <= kThinMax; ++thin) {
        MatmulCase c = {thin, 53, 71, MatmulPath::thin};
        c.b = layout, c.b_dtype = b_dtype, c.has_bias = true;
        check(c);
        MatmulCase mirrored = {53, thin, 71, MatmulPath::thin};
        mirrored.a = layout, mirrored.b_dtype = b_dtype;
        check(mirrored);
      }
    }
  }
  MatmulCase power_of_two = {17, 40, 2048, MatmulPath::thin};
  power_of_two.b = Layout::columns;
  check(power_of_two);
}

TEST_CASE("matmul: activations and residual") {
  for (const MatmulPath path : kAllPaths) {
    for (const Activation activation : {Activation::none, Activation::relu, Activation::silu, Activation::gelu,
                                        Activation::gelu_tanh, Activation::sigmoid, Activation::tanh}) {
      for (const Residual residual : {Residual::none, Residual::separate, Residual::in_place}) {
        MatmulCase c = {5, 37, 40, path};
        c.activation = activation, c.has_bias = true, c.residual = residual;
        check(c);
      }
    }
  }
}

TEST_CASE("matmul: batches, B broadcast over one of them") {
  for (const MatmulPath path : kAllPaths) {
    for (const int64_t tile_batches : {1, 2, 4, 100}) {
      for (const DType b_dtype : {DType::f32, DType::f16, DType::bf16}) {
        MatmulCase c = {7, 19, 23, path, 6, 16};
        c.outer = 3, c.inner = 2, c.tile_batches = tile_batches, c.b_dtype = b_dtype, c.residual = Residual::in_place;
        check(c);
      }
    }
  }
}

TEST_CASE("matmul: exact integers give exact results on every path") {
  for (const MatmulPath path : kAllPaths) {
    MatmulCase c = {8, 50, kKc + 30, path};
    c.values = Values::small_integers, c.has_bias = true, c.activation = Activation::relu;
    MatmulProblem problem(c);
    const std::vector<double> oracle = problem.oracle();
    for (const Isa isa : instruction_sets()) {
      CHECK(normalised_error(problem.run(isa), oracle) == 0.0);
    }
  }
}

TEST_CASE("matmul: the same bits for every tile size, path and set of vector instructions") {
  for (const Layout layout : {Layout::rows, Layout::columns}) {
    std::vector<float> first;
    for (const MatmulPath path : kAllPaths) {
      for (const int64_t tile_m : {1, 3, 6, 8}) {
        for (const int64_t tile_n : {16, 32, 144, 0}) {
          MatmulCase c = {8, 300, 2 * kKc + 77, path};
          c.a = layout, c.b = layout, c.residual = Residual::in_place;
          c.activation = Activation::gelu, c.has_bias = true;
          MatmulProblem problem(c);
          for (const Isa isa : vector_sets()) {
            const std::vector<float> got = problem.run(isa, tile_m, tile_n);
            if (first.empty()) first = got;
            CHECK(same_bits(got, first));
          }
        }
      }
    }
  }
}

TEST_CASE("matmul: a row alone has the bits that it has among many") {
  MatmulCase c = {40, 70, kKc + 100};
  c.b = Layout::columns, c.activation = Activation::silu, c.has_bias = true;
  MatmulProblem problem(c);
  for (const Isa isa : vector_sets()) {
    const std::vector<float> all = problem.run(isa);
    for (const MatmulPath path : kAllPaths) {
      MatmulCase one = c;
      one.m = 1, one.path = path;
      MatmulProblem alone(one);
      for (const int64_t row : {0, 5, 39}) {
        // Copies the row of the other problem into the problem of one row. B must be the same as well.
        std::copy_n(problem.a().begin() + MatmulProblem::kOffset + row * (c.k + 3), c.k,
                    alone.a().begin() + MatmulProblem::kOffset);
        alone.b() = problem.b();
        alone.bias() = problem.bias();
        const std::vector<float> got = alone.run(isa);
        CHECK(std::memcmp(got.data() + MatmulProblem::kOffset, all.data() + MatmulProblem::kOffset + row * problem.c_rs(),
                          static_cast<size_t>(c.n) * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("matmul: NaN and infinity stay in their row and column") {
  for (const MatmulPath path : kAllPaths) {
    for (const Isa isa : instruction_sets()) {
      MatmulCase c = {7, 21, 11, path};
      c.activation = Activation::relu;
      MatmulProblem problem(c);
      const int64_t at = MatmulProblem::kOffset;
      problem.a()[static_cast<size_t>(at + 2 * (c.k + 3) + 10)] = NAN;           // A[2, 10]
      problem.b()[static_cast<size_t>(at + 4 * (c.n + 3) + 20)] = INFINITY;      // B[4, 20]
      const std::vector<float> got = problem.run(isa);
      for (int64_t i = 0; i < c.m; ++i) {
        for (int64_t j = 0; j < c.n; ++j) {
          const float v = got[static_cast<size_t>(at + i * problem.c_rs() + j)];
          if (i == 2) CHECK(std::isnan(v));
          else if (j == 20) CHECK((v == INFINITY || v == 0.0f));  // relu of plus or minus infinity
          else CHECK(std::isfinite(v));
        }
      }
    }
  }
}

TEST_CASE("pack_b: the image of the reference, whatever the tiles") {
  for (const Layout layout : kLayouts) {
    for (const DType b_dtype : {DType::f32, DType::f16, DType::bf16}) {
      for (const int64_t n : {1, 7, 8, 9, 16, 35, 64}) {
        for (const int64_t k : {int64_t{1}, int64_t{9}, int64_t{63}, kKc, kKc + 1}) {
          MatmulCase c = {1, n, k};
          c.b = layout, c.b_dtype = b_dtype, c.inner = 2;
          MatmulProblem problem(c);
          const std::vector<unsigned char> expected = problem.packed(Isa::ref, 1);
          for (const int64_t tile_panels : {1, 2, 100}) {
            for (const Isa isa : vector_sets()) CHECK(same_bits(problem.packed(isa, tile_panels), expected));
          }
          CHECK(static_cast<int64_t>(expected.size()) == 2 * packed_image_elements(k, n) * dtype_bytes(b_dtype));
          const int64_t last = packed_image_elements(k, n) * 2 - 1;
          CHECK_FALSE(std::isnan(element_as_float(expected.data(), b_dtype, last)));
        }
      }
    }
  }
}
