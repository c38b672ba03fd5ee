// Scalar reference of storing one row of keys and values. Included by store_key_values.cpp and paged_attention.cpp.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/half.h"
#include "kernels/key_value_pages.h"
#include "kernels/ref/quantize_block.h"

namespace tesserae {

static_assert(kQuantizedBlock == kActivationBlock, "both have the largest magnitude of as many values");

// Quantizes a block of 32 values. Writes its integers `step` bytes apart, and its scale.
static inline void quantize_key_values(const float* x, int8_t* integers, int64_t step, uint16_t* scale) {
  *scale = float_to_half(largest_magnitude_ref(x) / 127);
  const float rounded = half_to_float(*scale);
  // The scale is 0 if the block is too small for f16. If the block holds NaN or infinity the scale is not finite; with
  // integers 0 every element then reads as 0 · scale = NaN.
  const float inverse = rounded > 0 && rounded < INFINITY ? 1 / rounded : 0;
  for (int64_t i = 0; i < kQuantizedBlock; ++i) {
    const float integer = inverse == 0 ? 0 : std::nearbyint(x[i] * inverse);
    integers[i * step] = static_cast<int8_t>(std::min(std::max(integer, -127.0f), 127.0f));
  }
}

static inline void store_element(KeyValueType type, unsigned char* data, int64_t index, float x) {
  if (type == KeyValueType::f16) {
    reinterpret_cast<uint16_t*>(data)[index] = float_to_half(x);
  } else {
    reinterpret_cast<float*>(data)[index] = x;
  }
}

static inline void store_row_ref(const KeyValueRow& row, const KeyValuePages& cache, unsigned char* page,
                                 int64_t in_page) {
  unsigned char* keys = page + keys_of_head(cache, row.head, row.dim);
  unsigned char* values = page + values_of_head(cache, row.head, row.v_dim);
  const int64_t panel = in_page / kKeyPanel;
  const int64_t lane = in_page % kKeyPanel;
  if (cache.type != KeyValueType::q8_0) {
    for (int64_t d = 0; d < row.dim; ++d) {
      store_element(cache.type, keys, (panel * row.dim + d) * kKeyPanel + lane, row.k[d]);
    }
    for (int64_t d = 0; d < row.v_dim; ++d) store_element(cache.type, values, in_page * row.v_dim + d, row.v[d]);
    return;
  }
  unsigned char* block = keys + panel * quantized_panel_bytes(row.dim);
  for (int64_t d = 0; d < row.dim; d += kQuantizedBlock) {
    auto* scales = reinterpret_cast<uint16_t*>(block + kQuantizedBlock * kKeyPanel);
    quantize_key_values(row.k + d, reinterpret_cast<int8_t*>(block) + lane, kKeyPanel, scales + lane);
    block += (kQuantizedBlock + 2) * kKeyPanel;
  }
  auto* integers = reinterpret_cast<int8_t*>(values) + in_page * row.v_dim;
  auto* scales = reinterpret_cast<uint16_t*>(values + cache.page_positions * row.v_dim);
  for (int64_t d = 0; d < row.v_dim; d += kQuantizedBlock) {
    quantize_key_values(row.v + d, integers + d, 1, scales + (in_page * row.v_dim + d) / kQuantizedBlock);
  }
}

}  // namespace tesserae
