// Scalar reference of store_key_values, the oracle of its tests.
#include "kernels/store_key_values.h"

#include <cmath>
#include <cstring>

#include "kernels/half.h"

namespace tesserae {
namespace {

// The largest magnitude of a block. Bits of magnitudes compare like unsigned integers, with NaN above infinity.
float magnitude(const float* x) {
  uint32_t most = 0;
  for (int64_t i = 0; i < kQuantizedBlock; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, 4);
    most = std::max(most, bits & 0x7fffffff);
  }
  float value;
  std::memcpy(&value, &most, 4);
  return value;
}

// Quantizes a block of 32 values. Writes its integers `step` bytes apart, and its scale.
void quantize(const float* x, int8_t* integers, int64_t step, uint16_t* scale) {
  *scale = float_to_half(magnitude(x) / 127);
  const float rounded = half_to_float(*scale);
  // The scale is 0 if the block is too small for f16. If the block holds NaN or infinity the scale is not finite; with
  // integers 0 every element then reads as 0 · scale = NaN.
  const float inverse = rounded > 0 && rounded < INFINITY ? 1 / rounded : 0;
  for (int64_t i = 0; i < kQuantizedBlock; ++i) {
    const float integer = inverse == 0 ? 0 : std::nearbyint(x[i] * inverse);
    integers[i * step] = static_cast<int8_t>(std::min(std::max(integer, -127.0f), 127.0f));
  }
}

void store_element(KeyValueType type, unsigned char* data, int64_t index, float x) {
  if (type == KeyValueType::f16) {
    reinterpret_cast<uint16_t*>(data)[index] = float_to_half(x);
  } else {
    reinterpret_cast<float*>(data)[index] = x;
  }
}

}  // namespace

KernelStatus store_key_values_ref(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<StoreKeyValuesParams>();
  const KeyValuePages& cache = p.cache;
  return store_tile(p, tile, [&](int64_t row, int64_t head, unsigned char* page, int64_t in_page) {
    const float* k = p.k + row * p.k_row + head * p.k_head;
    const float* v = p.v + row * p.v_row + head * p.v_head;
    unsigned char* keys = page + keys_of_head(cache, head, p.dim);
    unsigned char* values = page + values_of_head(cache, head, p.v_dim);
    const int64_t panel = in_page / kKeyPanel;
    const int64_t lane = in_page % kKeyPanel;
    if (cache.type != KeyValueType::q8_0) {
      for (int64_t d = 0; d < p.dim; ++d) {
        store_element(cache.type, keys, (panel * p.dim + d) * kKeyPanel + lane, k[d]);
      }
      for (int64_t d = 0; d < p.v_dim; ++d) store_element(cache.type, values, in_page * p.v_dim + d, v[d]);
      return;
    }
    unsigned char* block = keys + panel * quantized_panel_bytes(p.dim);
    for (int64_t d = 0; d < p.dim; d += kQuantizedBlock) {
      auto* scales = reinterpret_cast<uint16_t*>(block + kQuantizedBlock * kKeyPanel);
      quantize(k + d, reinterpret_cast<int8_t*>(block) + lane, kKeyPanel, scales + lane);
      block += (kQuantizedBlock + 2) * kKeyPanel;
    }
    auto* integers = reinterpret_cast<int8_t*>(values) + in_page * p.v_dim;
    auto* scales = reinterpret_cast<uint16_t*>(values + cache.page_positions * p.v_dim);
    for (int64_t d = 0; d < p.v_dim; d += kQuantizedBlock) {
      quantize(v + d, integers + d, 1, scales + (in_page * p.v_dim + d) / kQuantizedBlock);
    }
  });
}

}  // namespace tesserae
