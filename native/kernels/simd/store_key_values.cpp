// store_key_values. The keys of a row are stored into its panel with a stride of 16 elements; its values
// are stored as a contiguous row.
#include "kernels/store_key_values.h"

#include <cmath>

#include "kernels/simd/elements.h"

namespace tesserae {
namespace {

struct Block {
  alignas(8) int8_t integers[kQuantizedBlock];
  uint16_t scale;
};

// Quantizes a block as the reference does: magnitudes are compared as integers, so that NaN is the largest.
inline Block quantize(const float* x) {
  const Bits256 magnitude_bits = i32x8(0x7fffffff);
  Bits256 most = i32x8(0);
  for (int i = 0; i < kQuantizedBlock; i += 8) {
    const Bits256 bits = load_bits256(x + i);
    most = max_i32(most, bit_and(bits, magnitude_bits));
  }
  Block block;
  block.scale = f32_to_half(f32_of_largest_i32(most) / 127);
  const float rounded = half_to_f32(block.scale);
  if (!(rounded > 0 && rounded < INFINITY)) {
    for (int8_t& integer : block.integers) integer = 0;
    return block;
  }
  const F32x8 inverse = f32x8(1 / rounded);
  const Bits256 bound = i32x8(127);
  for (int i = 0; i < kQuantizedBlock; i += 8) {
    Bits256 integers = f32_to_i32(mul(load_f32x8(x + i), inverse));
    integers = min_i32(max_i32(integers, sub_i32(i32x8(0), bound)), bound);
    store_bits64(block.integers + i, i32_to_i8(integers));
  }
  return block;
}

template <typename Element>
KernelStatus store(const StoreKeyValuesParams& p, int64_t tile) {
  using Storage = typename Element::Storage;
  return store_tile(p, tile, [&](int64_t row, int64_t head, unsigned char* page, int64_t in_page) {
    const auto* k = reinterpret_cast<const uint32_t*>(p.k + row * p.k_row + head * p.k_head);
    const auto* v = reinterpret_cast<const uint32_t*>(p.v + row * p.v_row + head * p.v_head);
    auto* panel = reinterpret_cast<Storage*>(page + keys_of_head(p.cache, head, p.dim));
    panel += in_page / kKeyPanel * p.dim * kKeyPanel + in_page % kKeyPanel;
    for (int64_t d = 0; d < p.dim; d += 8) {
      const int64_t count = std::min<int64_t>(8, p.dim - d);
      Storage elements[8];
      convert_row<Bits32, Element>(k + d, elements, count);
      for (int64_t i = 0; i < count; ++i) panel[(d + i) * kKeyPanel] = elements[i];
    }
    auto* values = reinterpret_cast<Storage*>(page + values_of_head(p.cache, head, p.v_dim));
    convert_row<Bits32, Element>(v, values + in_page * p.v_dim, p.v_dim);
  });
}

KernelStatus store_quantized(const StoreKeyValuesParams& p, int64_t tile) {
  return store_tile(p, tile, [&](int64_t row, int64_t head, unsigned char* page, int64_t in_page) {
    const int64_t lane = in_page % kKeyPanel;
    const float* k = p.k + row * p.k_row + head * p.k_head;
    const float* v = p.v + row * p.v_row + head * p.v_head;
    unsigned char* target = page + keys_of_head(p.cache, head, p.dim);
    target += in_page / kKeyPanel * quantized_panel_bytes(p.dim);
    for (int64_t d = 0; d < p.dim; d += kQuantizedBlock) {
      const Block block = quantize(k + d);
      for (int64_t i = 0; i < kQuantizedBlock; ++i) {
        target[i * kKeyPanel + lane] = static_cast<unsigned char>(block.integers[i]);
      }
      target += kQuantizedBlock * kKeyPanel;
      reinterpret_cast<uint16_t*>(target)[lane] = block.scale;
      target += 2 * kKeyPanel;
    }
    unsigned char* values = page + values_of_head(p.cache, head, p.v_dim);
    auto* integers = reinterpret_cast<int8_t*>(values) + in_page * p.v_dim;
    auto* scales = reinterpret_cast<uint16_t*>(values + p.cache.page_positions * p.v_dim);
    for (int64_t d = 0; d < p.v_dim; d += kQuantizedBlock) {
      const Block block = quantize(v + d);
      std::memcpy(integers + d, block.integers, sizeof block.integers);
      scales[(in_page * p.v_dim + d) / kQuantizedBlock] = block.scale;
    }
  });
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus store_key_values_simd(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<StoreKeyValuesParams>();
  switch (p.cache.type) {
    case KeyValueType::f32: return store<Bits32>(p, tile);
    case KeyValueType::f16: return store<Half>(p, tile);
    default: return store_quantized(p, tile);
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
