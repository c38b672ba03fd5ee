// Scalar reference of store_key_values, the oracle of its tests.
#include "kernels/store_key_values.h"

#include "kernels/ref/store_row.h"

namespace tesserae {

KernelStatus store_key_values_ref(const OpRecord& op, int64_t tile, Scratch&) {
  return store_tile(op.as<StoreKeyValuesParams>(), tile, store_row_ref);
}

}  // namespace tesserae
