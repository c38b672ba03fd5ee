// The checks of element-wise kernels with two operands: one rounding for each element, with every kind of broadcasting.
// Called by add_test.cpp and mul_test.cpp.
#pragma once

#include "kernels/binary.h"

#include "rows_testing.h"

namespace tesserae::testing {

struct BinaryOp {
  const char* name;
  float (*combine)(float, float);
};

// The broadcast dimensions of an operand are a bit mask: bit i for outer dimension i, bit 4 for the columns.
constexpr int kColumnsBit = 1 << kOuterDims;

struct BinaryOperand {
  Rows<float> rows;
  OuterStrides strides;
  int64_t column_step;

  BinaryOperand(const OuterShape& outer, int64_t columns, Layout layout, int repeated, uint64_t seed)
      : rows(outer, columns, layout), strides(rows.strides()), column_step(repeated & kColumnsBit ? 0 : 1) {
    Random random(seed);
    rows.fill([&] { return static_cast<float>(random.integer(-50, 50)) / 8 + random.uniform(); });
    for (int dim = 0; dim < kOuterDims; ++dim) {
      if (repeated >> dim & 1) strides.stride[dim] = 0;
    }
  }
  float at(int64_t row, int64_t column) {
    return rows.data()[row_offset(rows.outer(), strides, row) + column * column_step];
  }
};

inline KernelStatus run_binary(Kernel kernel, BinaryOperand& a, BinaryOperand& b, float* y, const OuterStrides& y_outer,
                               int64_t tile_rows) {
  const BinaryParams params{a.rows.data(), b.rows.data(), y,         a.rows.columns(), tile_rows, a.column_step,
                            b.column_step, a.rows.outer(), a.strides, b.strides,        y_outer};
  return run_tiles(kernel, params, tiles_of(a.rows.outer().rows(), tile_rows));
}

// Checks every kind of broadcasting, layout and tile size, to the bit.
inline void check_broadcasts(const BinaryOp& op) {
  const OuterShape outer{{2, 1, 3, 4}};
  for (Isa isa : instruction_sets()) {
    const Kernel kernel = kernel_named(op.name, isa);
    for (int64_t columns : {1, 7, 8, 9, 17, 40}) {
      for (int a_repeated : {0, kColumnsBit, 1 << 3, 0b0101, 0b11111}) {
        for (int b_repeated : {0, kColumnsBit, 1 << 2, 0b1111, 0b11111}) {
          CAPTURE(std::string(op.name));
          CAPTURE(std::string(kernel_set(isa).isa));
          CAPTURE(columns);
          CAPTURE(a_repeated);
          CAPTURE(b_repeated);
          BinaryOperand a(outer, columns, Layout::gapped, a_repeated, 1);
          BinaryOperand b(outer, columns, Layout::permuted, b_repeated, 2);
          for (int64_t tile_rows : {1, 5, 100}) {
            Rows<float> y(outer, columns, Layout::permuted);
            REQUIRE(run_binary(kernel, a, b, y.data(), y.strides(), tile_rows) == KernelStatus::ok);
            bool equal = true;
            for (int64_t row = 0; row < outer.rows(); ++row) {
              for (int64_t column = 0; column < columns; ++column) {
                equal &= y.row(row)[column] == op.combine(a.at(row, column), b.at(row, column));
              }
            }
            CHECK(equal);
            CHECK(y.guards_intact());
          }
        }
      }
    }
  }
}

// Checks in-place results, NaN and infinities. `infinite` is the result for infinity and -infinity.
inline void check_in_place(const BinaryOp& op, float infinite) {
  const OuterShape outer{{1, 1, 2, 3}};
  for (Isa isa : instruction_sets()) {
    CAPTURE(std::string(op.name));
    const Kernel kernel = kernel_named(op.name, isa);
    BinaryOperand a(outer, 11, Layout::gapped, 0, 3);
    BinaryOperand b(outer, 11, Layout::permuted, 0, 4);
    a.rows.row(0)[0] = INFINITY;
    b.rows.row(0)[0] = -INFINITY;
    a.rows.row(1)[10] = NAN;
    Rows<float> y(outer, 11, Layout::contiguous);
    REQUIRE(run_binary(kernel, a, b, y.data(), y.strides(), 2) == KernelStatus::ok);
    CHECK(std::isnan(y.row(1)[10]));
    CHECK(ulps(y.row(0)[0], infinite) == 0);
    BinaryOperand in_a = a;
    REQUIRE(run_binary(kernel, in_a, b, in_a.rows.data(), in_a.strides, 2) == KernelStatus::ok);
    CHECK(same_bits(in_a.rows.values(), y.values()));
    BinaryOperand in_b = b;
    REQUIRE(run_binary(kernel, a, in_b, in_b.rows.data(), in_b.strides, 2) == KernelStatus::ok);
    CHECK(same_bits(in_b.rows.values(), y.values()));
    CHECK(in_b.rows.guards_intact());
  }
}

}  // namespace tesserae::testing
