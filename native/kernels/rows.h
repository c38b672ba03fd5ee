// Row layouts: how row-wise kernels (norms, softmax, element-wise) compute the address of row r of a strided operand.
// The elements of a row have unit stride; the `copy` op first copies an operand of another layout.
#pragma once

// Functions in headers of this folder are static. With external linkage the linker could keep a copy that was compiled
// for AVX2, and the reference kernels, which run on every CPU, would call it.

#include <cstdint>

namespace tesserae {

constexpr int kOuterDims = 4;

// The outer dimensions of an operation (all but the row), outermost first, padded in front with 1.
struct OuterShape {
  int64_t size[kOuterDims];
  int64_t rows() const { return size[0] * size[1] * size[2] * size[3]; }
};

// The strides of one operand over the outer dimensions, in elements; 0 broadcasts.
struct OuterStrides {
  int64_t stride[kOuterDims];
};

// The offset of row `row` in elements; rows are numbered in row-major order over the outer dimensions.
static inline int64_t row_offset(const OuterShape& shape, const OuterStrides& strides, int64_t row) {
  int64_t offset = 0;
  for (int dim = kOuterDims - 1; dim > 0; --dim) {
    const int64_t size = shape.size[dim];
    if (size == 1) continue;
    offset += (row % size) * strides.stride[dim];
    row /= size;
  }
  return offset + row * strides.stride[0];
}

}  // namespace tesserae
