// Scalar reference of copy, the oracle of its tests.
#include "kernels/copy.h"

#include <algorithm>
#include <cstring>

#include "kernels/half.h"

namespace tesserae {
namespace {

void copy_element(const CopyParams& p, int64_t from, int64_t to) {
  const auto x_dtype = static_cast<DType>(p.x_dtype);
  const auto y_dtype = static_cast<DType>(p.y_dtype);
  if (x_dtype == DType::f32 && y_dtype == DType::f16) {
    static_cast<uint16_t*>(p.y)[to] = float_to_half(static_cast<const float*>(p.x)[from]);
  } else if (x_dtype == DType::f16 && y_dtype == DType::f32) {
    static_cast<float*>(p.y)[to] = half_to_float(static_cast<const uint16_t*>(p.x)[from]);
  } else if (x_dtype == DType::f32 && y_dtype == DType::bf16) {
    static_cast<uint16_t*>(p.y)[to] = float_to_bfloat(static_cast<const float*>(p.x)[from]);
  } else if (x_dtype == DType::bf16 && y_dtype == DType::f32) {
    static_cast<float*>(p.y)[to] = bfloat_to_float(static_cast<const uint16_t*>(p.x)[from]);
  } else {
    const int64_t bytes = dtype_bytes(x_dtype);
    std::memcpy(static_cast<char*>(p.y) + to * bytes, static_cast<const char*>(p.x) + from * bytes,
                static_cast<size_t>(bytes));
  }
}

}  // namespace

KernelStatus copy_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<CopyParams>();
  int64_t rows = 1;
  for (int dim = 0; dim < kCopyDims - 1; ++dim) rows *= p.size[dim];
  const int64_t columns = p.size[kCopyDims - 1];
  const int64_t first = tile * p.tile_rows * columns;
  const int64_t last = std::min((tile + 1) * p.tile_rows, rows) * columns;
  for (int64_t element = first; element < last; ++element) {
    int64_t rest = element;
    int64_t from = 0;
    int64_t to = 0;
    for (int dim = kCopyDims - 1; dim >= 0; --dim) {
      const int64_t index = rest % p.size[dim];
      rest /= p.size[dim];
      from += index * p.x_stride[dim];
      to += index * p.y_stride[dim];
    }
    copy_element(p, from, to);
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
