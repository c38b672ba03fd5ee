// Scalar reference of paged_attention, the oracle of its tests.
#include "kernels/paged_attention.h"

#include "kernels/half.h"
#include "kernels/ref/attention_row.h"
#include "kernels/ref/quantize_block.h"
#include "kernels/ref/rotate.h"
#include "kernels/ref/store_row.h"

namespace tesserae {
namespace {

// Element `index` of the array at `data`, whose type is p.type (f32 or f16).
float element(const KeyValuePages& p, const unsigned char* data, int64_t index) {
  return p.type == KeyValueType::f16 ? half_to_float(reinterpret_cast<const uint16_t*>(data)[index])
                                     : reinterpret_cast<const float*>(data)[index];
}

float quantized(const unsigned char* integers, int64_t index, const unsigned char* scales, int64_t scale) {
  const auto integer = static_cast<float>(reinterpret_cast<const int8_t*>(integers)[index]);
  return half_to_float(reinterpret_cast<const uint16_t*>(scales)[scale]) * integer;
}

struct Keys {
  const KeyValuePages& p;
  const SequencePages& pages;
  int64_t head;
  int64_t dim;
  float operator()(int64_t position, int64_t d) const {
    const unsigned char* keys = pages.page(position) + keys_of_head(p, head, dim);
    const int64_t panel = position % p.page_positions / kKeyPanel;
    const int64_t lane = position % kKeyPanel;
    if (p.type != KeyValueType::q8_0) return element(p, keys, (panel * dim + d) * kKeyPanel + lane);
    constexpr int64_t block_bytes = (kQuantizedBlock + 2) * kKeyPanel;
    const unsigned char* block = keys + panel * quantized_panel_bytes(dim) + d / kQuantizedBlock * block_bytes;
    return quantized(block, d % kQuantizedBlock * kKeyPanel + lane, block + kQuantizedBlock * kKeyPanel, lane);
  }
};

struct Values {
  const KeyValuePages& p;
  const SequencePages& pages;
  int64_t head;
  int64_t v_dim;
  float operator()(int64_t position, int64_t d) const {
    const unsigned char* values = pages.page(position) + values_of_head(p, head, v_dim);
    const int64_t row = position % p.page_positions;
    if (p.type != KeyValueType::q8_0) return element(p, values, row * v_dim + d);
    const int64_t blocks = v_dim / kQuantizedBlock;
    return quantized(values, row * v_dim + d, values + p.page_positions * v_dim, row * blocks + d / kQuantizedBlock);
  }
};

}  // namespace

KernelStatus paged_attention_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<PagedAttentionParams>();
  const auto rotate = [&](int64_t position, float* x) {
    rotate_ref(p.rotation, static_cast<double>(position), x, x, p.attention.dim);
  };
  const auto attend = [&](const PagedItem& item) {
    const AttentionParams& a = item.attention;
    const Keys k = {p.cache, item.pages, item.tile.kv_head, a.dim};
    const Values v = {p.cache, item.pages, item.tile.kv_head, a.v_dim};
    for_each_row(a, item.tile, [&](const AttentionRow& row) { attend_row_ref(a, row, k, v, scratch); });
  };
  return attend_items(p, tile, rotate, store_row_ref, attend, quantize_row_ref);
}

}  // namespace tesserae
