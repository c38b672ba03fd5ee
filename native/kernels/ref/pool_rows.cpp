// Scalar reference of pool_rows, the oracle of its tests.
#include "kernels/pool_rows.h"

namespace tesserae {

KernelStatus pool_rows_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto add = [](const float* x, int64_t stride, int64_t rows, int64_t columns, double* sums) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) sums[column] += static_cast<double>(x[row * stride + column]);
    }
  };
  const auto divide = [](const double* sums, int64_t columns, double divisor, float* y) {
    for (int64_t column = 0; column < columns; ++column) y[column] = static_cast<float>(sums[column] / divisor);
  };
  return pool_items(op.as<PoolRowsParams>(), tile, scratch, add, divide);
}

}  // namespace tesserae
