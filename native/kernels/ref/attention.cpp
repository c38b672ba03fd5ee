// Scalar reference of attention, the oracle of its tests.
#include "kernels/attention.h"

#include "kernels/half.h"
#include "kernels/ref/attention_row.h"

namespace tesserae {
namespace {

// The rows of k or v of one kv head, as f32; the element type is f32 or f16.
struct Rows {
  const void* data;
  DType dtype;
  int64_t offset;
  int64_t stride;
  float operator()(int64_t row, int64_t column) const {
    const int64_t i = offset + row * stride + column;
    return dtype == DType::f16 ? half_to_float(static_cast<const uint16_t*>(data)[i])
                               : static_cast<const float*>(data)[i];
  }
};

}  // namespace

KernelStatus attention_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<AttentionParams>();
  const AttentionTile t = attention_tile(p, tile);
  const Rows k = {p.k, p.kv_dtype, t.batch * p.k_batch + t.kv_head * p.k_head, p.k_row};
  const Rows v = {p.v, p.kv_dtype, t.batch * p.v_batch + t.kv_head * p.v_head, p.v_row};
  for_each_row(p, t, [&](const AttentionRow& row) { attend_row_ref(p, row, k, v, scratch); });
  return KernelStatus::ok;
}

}  // namespace tesserae
