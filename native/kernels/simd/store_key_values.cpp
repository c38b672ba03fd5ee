// store_key_values for the vector sets.
#include "kernels/store_key_values.h"

#include "kernels/simd/store_row.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

KernelStatus store_key_values_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<StoreKeyValuesParams>();
  return store_tile(p, tile, store_row);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
