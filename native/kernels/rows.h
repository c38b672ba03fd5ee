// Row layouts: how row-wise ops (norms, softmax, element-wise) find row r of a strided operand.
// A row itself always has unit stride; an operand whose rows have not is copied by the `copy` op first.
#pragma once

// Functions in headers of this folder are static: were they shared, the linker could give the plain kernels a copy that
// was compiled for AVX2, and these run on CPUs without it.

#include <cstdint>

namespace tesserae {

constexpr int kOuterDims = 4;

// The outer dimensions of an operation, outermost first, padded in front with 1.
struct OuterShape {
  int64_t size[kOuterDims];
  int64_t rows() const { return size[0] * size[1] * size[2] * size[3]; }
};

// The strides of one operand over these dimensions, in elements; 0 broadcasts.
struct OuterStrides {
  int64_t stride[kOuterDims];
};

// The element offset of row `row` (row-major over the outer dimensions).
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
