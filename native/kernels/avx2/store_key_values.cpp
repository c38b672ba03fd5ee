// store_key_values with AVX2. The keys of a row are stored into its panel with a stride of 16 elements; its values
// are stored as a contiguous row.
#include "kernels/store_key_values.h"

#include <immintrin.h>

#include <cmath>

#include "kernels/avx2/elements.h"

namespace tesserae {
namespace {

struct Block {
  alignas(8) int8_t integers[kQuantizedBlock];
  uint16_t scale;
};

// Quantizes a block as the reference does: magnitudes are compared as unsigned integers, so that NaN is the largest.
inline Block quantize(const float* x) {
  const __m256i magnitude_bits = _mm256_set1_epi32(0x7fffffff);
  __m256i most = _mm256_setzero_si256();
  for (int i = 0; i < kQuantizedBlock; i += 8) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    most = _mm256_max_epu32(most, _mm256_and_si256(bits, magnitude_bits));
  }
  __m128i most4 = _mm_max_epu32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  most4 = _mm_max_epu32(most4, _mm_shuffle_epi32(most4, 0x4e));
  most4 = _mm_max_epu32(most4, _mm_shuffle_epi32(most4, 0xb1));
  Block block;
  block.scale = _cvtss_sh(_mm_cvtss_f32(_mm_castsi128_ps(most4)) / 127, _MM_FROUND_TO_NEAREST_INT);
  const float rounded = _cvtsh_ss(block.scale);
  if (!(rounded > 0 && rounded < INFINITY)) {
    for (int8_t& integer : block.integers) integer = 0;
    return block;
  }
  const __m256 inverse = _mm256_set1_ps(1 / rounded);
  const __m256i bound = _mm256_set1_epi32(127);
  for (int i = 0; i < kQuantizedBlock; i += 8) {
    __m256i integers = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), inverse));
    integers = _mm256_min_epi32(_mm256_max_epi32(integers, _mm256_sub_epi32(_mm256_setzero_si256(), bound)), bound);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(block.integers + i), _mm_packs_epi16(words, words));
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

KernelStatus store_key_values_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  const auto& p = op.as<StoreKeyValuesParams>();
  switch (p.cache.type) {
    case KeyValueType::f32: return store<Bits32>(p, tile);
    case KeyValueType::f16: return store<Half>(p, tile);
    default: return store_quantized(p, tile);
  }
}

}  // namespace tesserae
