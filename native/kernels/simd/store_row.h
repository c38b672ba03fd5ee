// Stores the keys and values of one row and head in their page. The keys are stored into their panel with a stride of 16
// elements; the values are stored as a contiguous row. Included by store_key_values.cpp and attention_pages.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/key_value_pages.h"
#include "kernels/simd/elements.h"

namespace tesserae {
inline namespace TESSERAE_ISA {

struct QuantizedKeyValues {
  alignas(8) int8_t integers[kQuantizedBlock];
  uint16_t scale;
};

// Quantizes a block as the reference does: magnitudes are compared as integers, so that NaN is the largest.
inline QuantizedKeyValues quantize_key_values(const float* x) {
  const Bits256 magnitude_bits = i32x8(0x7fffffff);
  Bits256 most = i32x8(0);
  for (int i = 0; i < kQuantizedBlock; i += 8) {
    const Bits256 bits = load_bits256(x + i);
    most = max_i32(most, bit_and(bits, magnitude_bits));
  }
  QuantizedKeyValues block;
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
inline void store_row_as(const KeyValueRow& row, const KeyValuePages& cache, unsigned char* page, int64_t in_page) {
  using Storage = typename Element::Storage;
  const auto* k = reinterpret_cast<const uint32_t*>(row.k);
  auto* panel = reinterpret_cast<Storage*>(page + keys_of_head(cache, row.head, row.dim));
  panel += in_page / kKeyPanel * row.dim * kKeyPanel + in_page % kKeyPanel;
  for (int64_t d = 0; d < row.dim; d += 8) {
    const int64_t count = std::min<int64_t>(8, row.dim - d);
    Storage elements[8];
    convert_row<Bits32, Element>(k + d, elements, count);
    for (int64_t i = 0; i < count; ++i) panel[(d + i) * kKeyPanel] = elements[i];
  }
  auto* values = reinterpret_cast<Storage*>(page + values_of_head(cache, row.head, row.v_dim));
  convert_row<Bits32, Element>(reinterpret_cast<const uint32_t*>(row.v), values + in_page * row.v_dim, row.v_dim);
}

inline void store_row_quantized(const KeyValueRow& row, const KeyValuePages& cache, unsigned char* page,
                                int64_t in_page) {
  const int64_t lane = in_page % kKeyPanel;
  unsigned char* target = page + keys_of_head(cache, row.head, row.dim);
  target += in_page / kKeyPanel * quantized_panel_bytes(row.dim);
  for (int64_t d = 0; d < row.dim; d += kQuantizedBlock) {
    const QuantizedKeyValues block = quantize_key_values(row.k + d);
    for (int64_t i = 0; i < kQuantizedBlock; ++i) {
      target[i * kKeyPanel + lane] = static_cast<unsigned char>(block.integers[i]);
    }
    target += kQuantizedBlock * kKeyPanel;
    reinterpret_cast<uint16_t*>(target)[lane] = block.scale;
    target += 2 * kKeyPanel;
  }
  unsigned char* values = page + values_of_head(cache, row.head, row.v_dim);
  auto* integers = reinterpret_cast<int8_t*>(values) + in_page * row.v_dim;
  auto* scales = reinterpret_cast<uint16_t*>(values + cache.page_positions * row.v_dim);
  for (int64_t d = 0; d < row.v_dim; d += kQuantizedBlock) {
    const QuantizedKeyValues block = quantize_key_values(row.v + d);
    std::memcpy(integers + d, block.integers, sizeof block.integers);
    scales[(in_page * row.v_dim + d) / kQuantizedBlock] = block.scale;
  }
}

// Stores a row at position `in_page` of a page.
inline void store_row(const KeyValueRow& row, const KeyValuePages& cache, unsigned char* page, int64_t in_page) {
  switch (cache.type) {
    case KeyValueType::f32: return store_row_as<Bits32>(row, cache, page, in_page);
    case KeyValueType::f16: return store_row_as<Half>(row, cache, page, in_page);
    case KeyValueType::q8_0: return store_row_quantized(row, cache, page, in_page);
  }
}

// Fetches the lines that store_row writes.
inline void fetch_row_place(const KeyValueRow& row, const KeyValuePages& cache, const unsigned char* page, int64_t in_page) {
  const int64_t values_bytes = key_value_head_bytes(cache, row.v_dim) / cache.page_positions;
  const int64_t panel_bytes = key_panel_bytes(cache, row.dim);
  const unsigned char* keys = key_panel_of(cache, page, row.head, row.dim, in_page);
  const unsigned char* values = page + values_of_head(cache, row.head, row.v_dim) + in_page * values_bytes;
  for (int64_t byte = 0; byte < panel_bytes; byte += 64) prefetch(keys + byte);
  for (int64_t byte = 0; byte < values_bytes; byte += 64) prefetch(values + byte);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
