// Elements of keys and values in cache pages, for the scalar references of paged attention.
#pragma once

#include "kernels/half.h"
#include "kernels/key_value_pages.h"

namespace tesserae {

// Element `index` of the array at `data`, whose type is p.type (f32 or f16).
static inline float page_element(const KeyValuePages& p, const unsigned char* data, int64_t index) {
  return p.type == KeyValueType::f16 ? half_to_float(reinterpret_cast<const uint16_t*>(data)[index])
                                     : reinterpret_cast<const float*>(data)[index];
}

static inline float page_quantized(const unsigned char* integers, int64_t index, const unsigned char* scales, int64_t scale) {
  const auto integer = static_cast<float>(reinterpret_cast<const int8_t*>(integers)[index]);
  return half_to_float(reinterpret_cast<const uint16_t*>(scales)[scale]) * integer;
}

struct PageKeys {
  const KeyValuePages& p;
  const SequencePages& pages;
  int64_t head;
  int64_t dim;
  float operator()(int64_t position, int64_t d) const {
    const unsigned char* keys = pages.page(position) + keys_of_head(p, head, dim);
    const int64_t panel = position % p.page_positions / kKeyPanel;
    const int64_t lane = position % kKeyPanel;
    if (p.type != KeyValueType::q8_0) return page_element(p, keys, (panel * dim + d) * kKeyPanel + lane);
    constexpr int64_t block_bytes = (kQuantizedBlock + 2) * kKeyPanel;
    const unsigned char* block = keys + panel * quantized_panel_bytes(dim) + d / kQuantizedBlock * block_bytes;
    return page_quantized(block, d % kQuantizedBlock * kKeyPanel + lane, block + kQuantizedBlock * kKeyPanel, lane);
  }
};

struct PageValues {
  const KeyValuePages& p;
  const SequencePages& pages;
  int64_t head;
  int64_t v_dim;
  float operator()(int64_t position, int64_t d) const {
    const unsigned char* values = pages.page(position) + values_of_head(p, head, v_dim);
    const int64_t row = position % p.page_positions;
    if (p.type != KeyValueType::q8_0) return page_element(p, values, row * v_dim + d);
    const int64_t blocks = v_dim / kQuantizedBlock;
    return page_quantized(values, row * v_dim + d, values + p.page_positions * v_dim, row * blocks + d / kQuantizedBlock);
  }
};

}  // namespace tesserae
