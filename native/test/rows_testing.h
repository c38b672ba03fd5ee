// Support for the tests of row-wise kernels: strided operands with guard cells, a function that runs all tiles, and the
// checks that every such kernel must pass. Not for matmul and attention, whose operands are not rows.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/op.h"
#include "kernels/rows.h"
#include "kernel_sets.h"

namespace tesserae::testing {

// A small random generator with the same results on every machine (SplitMix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  float uniform() { return static_cast<float>(static_cast<double>(bits() >> 11) * 0x1p-52 - 1.0); }  // [-1, 1)
  int integer(int low, int high) {  // inclusive
    return low + static_cast<int>(bits() % static_cast<uint64_t>(high - low + 1));
  }

 private:
  uint64_t state_;
};

inline std::vector<float> random_floats(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(count));
  for (float& value : x) value = random.uniform();
  return x;
}

enum class Layout { contiguous, gapped, permuted };

// Rows over the outer dimensions inside a larger buffer. The buffer is filled with bytes of 0xff (NaN as f32 and f16,
// -1 as an integer); cells that are not part of a row are guards. Layouts other than contiguous are misaligned on
// purpose.
template <typename T>
class Rows {
 public:
  Rows(OuterShape outer, int64_t columns, Layout layout) : outer_(outer), columns_(columns) {
    const int64_t gap = layout == Layout::contiguous ? 0 : layout == Layout::gapped ? 3 : 5;
    start_ = layout == Layout::contiguous ? 16 : layout == Layout::gapped ? 17 : 19;
    int64_t stride = columns + gap;
    for (int i = 0; i < kOuterDims; ++i) {
      const int dim = layout == Layout::permuted ? i : kOuterDims - 1 - i;
      strides_.stride[dim] = stride;
      stride *= outer.size[dim];
    }
    storage_.resize(static_cast<size_t>(start_ + stride + 16));
    std::memset(storage_.data(), 0xff, storage_.size() * sizeof(T));
  }

  T* data() { return storage_.data() + start_; }
  const OuterShape& outer() const { return outer_; }
  const OuterStrides& strides() const { return strides_; }
  int64_t columns() const { return columns_; }
  T* row(int64_t r) { return data() + row_offset(outer_, strides_, r); }

  template <typename Make>
  void fill(Make make) {
    for (int64_t r = 0; r < outer_.rows(); ++r) {
      for (int64_t c = 0; c < columns_; ++c) row(r)[c] = make();
    }
  }
  std::vector<T> copy_row(int64_t r) { return std::vector<T>(row(r), row(r) + columns_); }
  std::vector<T> values() {
    std::vector<T> all;
    for (int64_t r = 0; r < outer_.rows(); ++r) all.insert(all.end(), row(r), row(r) + columns_);
    return all;
  }
  bool guards_intact() {
    std::vector<char> inside(storage_.size(), 0);
    for (int64_t r = 0; r < outer_.rows(); ++r) {
      std::fill_n(inside.begin() + (row(r) - storage_.data()), columns_, 1);
    }
    T guard;
    std::memset(&guard, 0xff, sizeof(T));
    for (size_t i = 0; i < storage_.size(); ++i) {
      if (!inside[i] && std::memcmp(&storage_[i], &guard, sizeof(T)) != 0) return false;
    }
    return true;
  }

 private:
  OuterShape outer_;
  OuterStrides strides_;
  int64_t columns_;
  int64_t start_;
  std::vector<T> storage_;
};

inline int64_t tiles_of(int64_t rows, int64_t tile_rows) { return (rows + tile_rows - 1) / tile_rows; }

// Runs the tiles from the last to the first; stops at the first failure.
template <typename Params>
KernelStatus run_tiles(Kernel kernel, const Params& params, int64_t tiles) {
  static std::vector<unsigned char> memory(kScratchBytes + kCacheLineBytes);
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  Scratch scratch{memory.data() + (kCacheLineBytes - address % kCacheLineBytes) % kCacheLineBytes, kScratchBytes};
  OpRecord op{};
  op.tile_count = static_cast<uint32_t>(tiles);
  std::memcpy(op.params, &params, sizeof(params));
  for (int64_t tile = tiles - 1; tile >= 0; --tile) {
    const KernelStatus status = kernel(op, tile, scratch);
    if (status != KernelStatus::ok) return status;
  }
  return KernelStatus::ok;
}

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Normalised mean squared error.
inline double nmse(const std::vector<float>& got, const std::vector<double>& expected) {
  double error = 0;
  double power = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - expected[i]) * (got[i] - expected[i]);
    power += expected[i] * expected[i];
  }
  return power == 0 ? error : error / power;
}

// The difference between `got` and `expected` in units in the last place of the float nearest to `expected`.
inline double ulps(float got, double expected) {
  if (std::isnan(expected)) return std::isnan(got) ? 0 : INFINITY;
  const float nearest = static_cast<float>(expected);
  if (std::isinf(nearest) || std::isinf(got)) return got == nearest ? 0 : INFINITY;
  int exponent;
  std::frexp(nearest, &exponent);
  const double unit = std::max(std::ldexp(1.0, (nearest == 0 ? -200 : exponent) - 24), 0x1p-149);
  return std::fabs(got - expected) / unit;
}

inline const std::vector<OuterShape>& outer_shapes() {
  static const std::vector<OuterShape> shapes{{{1, 1, 1, 1}}, {{1, 1, 1, 5}}, {{2, 1, 3, 4}}};
  return shapes;
}

// A row-wise float kernel with one operand: how to run it, and the expected result of a row in float64.
struct RowKernel {
  const char* name;
  std::function<KernelStatus(Kernel, Rows<float>& x, Rows<float>& y, int64_t tile_rows)> run;
  std::function<std::vector<double>(const std::vector<float>& row)> expected;
  std::function<float(Random&)> value;
  double tolerance = 1e-12;  // of the normalised mean squared error
};

// Checks a kernel: against float64 in every layout; guards; the same bits for any tile size, for a row alone, and in
// place.
inline void check_row_kernel(const RowKernel& op, const std::vector<int64_t>& column_counts) {
  for (Isa isa : instruction_sets()) {
    const Kernel kernel = kernel_named(op.name, isa);
    for (int64_t columns : column_counts) {
      for (const OuterShape& outer : outer_shapes()) {
        for (Layout x_layout : {Layout::contiguous, Layout::gapped, Layout::permuted}) {
          const Layout y_layout = static_cast<Layout>((static_cast<int>(x_layout) + 1) % 3);
          CAPTURE(std::string(kernel_set(isa).isa));
          CAPTURE(columns);
          CAPTURE(outer.rows());
          CAPTURE(static_cast<int>(x_layout));
          Random random(static_cast<uint64_t>(columns * 10 + outer.rows()));
          Rows<float> x(outer, columns, x_layout);
          x.fill([&] { return op.value(random); });
          Rows<float> y(outer, columns, y_layout);
          REQUIRE(op.run(kernel, x, y, 2) == KernelStatus::ok);
          CHECK(y.guards_intact());
          std::vector<double> expected;
          for (int64_t r = 0; r < outer.rows(); ++r) {
            const std::vector<double> row = op.expected(x.copy_row(r));
            expected.insert(expected.end(), row.begin(), row.end());
          }
          CHECK(nmse(y.values(), expected) < op.tolerance);

          for (int64_t tile_rows : {int64_t{1}, int64_t{3}, outer.rows() + 1}) {
            Rows<float> other(outer, columns, Layout::contiguous);
            REQUIRE(op.run(kernel, x, other, tile_rows) == KernelStatus::ok);
            CHECK(same_bits(y.values(), other.values()));
          }

          const OuterShape one{{1, 1, 1, 1}};
          Rows<float> x_alone(one, columns, Layout::contiguous);
          std::copy_n(x.row(outer.rows() - 1), columns, x_alone.row(0));
          Rows<float> y_alone(one, columns, Layout::gapped);
          REQUIRE(op.run(kernel, x_alone, y_alone, 1) == KernelStatus::ok);
          CHECK(same_bits(y_alone.copy_row(0), y.copy_row(outer.rows() - 1)));

          REQUIRE(op.run(kernel, x, x, 2) == KernelStatus::ok);
          CHECK(same_bits(x.values(), y.values()));
          CHECK(x.guards_intact());
        }
      }
    }
  }
}

// Lengths around the 8 lanes and the 32 accumulators, and a long row.
inline const std::vector<int64_t>& row_lengths() {
  static const std::vector<int64_t> lengths{1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 41, 65, 129, 4099};
  return lengths;
}

}  // namespace tesserae::testing
