// A panel: some of k of two strips of weights, decoded to bytes and f32 scales in scratch, to be reused for many rows of
// activations. Included by the AVX2 quantized kernels only.
#pragma once

#include <algorithm>

#include "kernels/avx2/quantized_unit.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

constexpr int64_t kPanelRows = 2 * kStripRows;

// Cuts k: 16 KiB of codes and their scales stay in L1 while the rows of activations pass. A multiple of all blocks.
constexpr int64_t kPanelBytes = 16384;
template <typename K>
constexpr int64_t kPanelK = kPanelBytes / kPanelRows / (K::is_split ? 2 : 1);

// The codes of a group are [quads][2 strips][32 bytes], or, split, [quads][2 strips][2 planes][32 bytes]; what
// there is one of for each group and row is [groups][16].
struct Panel {
  alignas(64) unsigned char codes[kPanelBytes];
  alignas(64) float scales[kPanelBytes / 16];
  alignas(64) float mins[kPanelBytes / 16];
  alignas(64) int32_t negatives[kPanelBytes / 16];  // split: the sum of the magnitudes of negative codes
};

// Stores a quad of strip `strip`; `codes` is where the quad begins. Gives where the next one does. `negatives` gains the
// magnitudes of negative codes where codes are split.
template <typename K>
TESSERAE_QUANTIZED_INLINE unsigned char* store_quad(unsigned char* codes, int strip, __m256i quad, __m256i& negatives) {
  auto* to = reinterpret_cast<__m256i*>(codes);
  if constexpr (!K::is_split) {
    _mm256_store_si256(to + strip, quad);
    return codes + 64;
  }
  const __m256i magnitude = _mm256_abs_epi8(quad);
  const __m256i mask = _mm256_cmpgt_epi8(_mm256_setzero_si256(), quad);
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_and_si256(magnitude, mask), _mm256_set1_epi8(1));
  negatives = _mm256_add_epi32(negatives, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  _mm256_store_si256(to + strip * 2, magnitude);
  _mm256_store_si256(to + strip * 2 + 1, mask);
  return codes + 128;
}

constexpr int64_t kMostUnitBytes = 1680;
alignas(64) inline constexpr unsigned char kZeroUnit[kMostUnitBytes] = {};

// Writes `units` units of one strip, from `first` on. A strip that does not exist is given as null: zeros.
template <QuantizedType type>
void decode_strip(const unsigned char* first, int64_t units, int strip, Panel& panel) {
  using U = Unit<type>;
  using K = typename U::K;
  static_assert(U::layout.unit_bytes <= kMostUnitBytes, "a unit of zeros");
  unsigned char* codes = panel.codes;
  int64_t at = strip * kStripRows;
  for (int64_t u = 0; u < units; ++u) {
    const unsigned char* data = first == nullptr ? kZeroUnit : first + u * U::layout.unit_bytes;
    const U unit(data);
    for (int64_t g = 0; g < U::layout.groups; ++g, at += kPanelRows) {
      __m256i negatives = _mm256_setzero_si256();
      _mm256_store_ps(panel.scales + at, unit.scale(g));
      if constexpr (U::has_min) _mm256_store_ps(panel.mins + at, unit.min(g));
#pragma GCC unroll 8
      for (int q = 0; q < K::quads; ++q) codes = store_quad<K>(codes, strip, unit.quad(g, q), negatives);
      if constexpr (K::is_split) _mm256_store_si256(reinterpret_cast<__m256i*>(panel.negatives + at), negatives);
    }
  }
}

// The same for rows of a type without a kernel of its own, block by block; offsets are subtracted here.
inline void decode_rows_generic(QuantizedType type, const unsigned char* image, int64_t k, int64_t first_row,
                                int64_t rows, int64_t first_k, int64_t panel_k, Panel& panel) {
  const QuantizedFormat& format = quantized_format(type);
  const int64_t groups = format.block_elements / format.group;
  std::memset(&panel, 0, sizeof(panel));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t b = 0; b < panel_k / format.block_elements; ++b) {
      BlockFields fields;
      read_packed_block(type, image, k, first_row + row, first_k / format.block_elements + b, fields);
      for (int64_t g = 0; g < groups; ++g) {
        panel.scales[(b * groups + g) * kPanelRows + row] = fields.scale(g);
        panel.mins[(b * groups + g) * kPanelRows + row] = fields.min(format, g);
      }
      unsigned char* codes = panel.codes + b * format.block_elements * kPanelRows * 2 + row / 8 * 64 + row % 8 * 4;
      for (int64_t e = 0; e < format.block_elements; e += 4, codes += 128) {
        for (int64_t i = 0; i < 4; ++i) {
          const int code = fields.codes[e + i] - format.offset;
          const int magnitude = code < 0 ? -code : code;
          codes[i] = static_cast<unsigned char>(magnitude);
          codes[i + 32] = code < 0 ? 0xff : 0;
          panel.negatives[(b * groups + e / format.group) * kPanelRows + row] += code < 0 ? magnitude : 0;
        }
      }
    }
  }
}

// Adds the products with a panel to the sums of Rows rows: sums[r · kPanelRows + j]. x[r] is where the panel begins.
template <typename K, int Rows>
void multiply_panel(const Panel& panel, int64_t panel_k, const ActivationBlock* x, int64_t x_stride, float* sums) {
  constexpr int kHalves = 32 / K::group;
  const unsigned char* codes = panel.codes;
  const float* scales = panel.scales;
  const float* mins = panel.mins;
  const int32_t* negatives = panel.negatives;
  for (int64_t b = 0; b < panel_k / kActivationBlock; ++b) {
    const ActivationBlock* block[Rows];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) block[r] = x + r * x_stride + b;
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      __m256i dot[Rows][2];
      if constexpr (K::is_split) {
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) dot[r][0] = load_vector(negatives), dot[r][1] = load_vector(negatives + 8);
        dot_split_group<K, Rows>(block, half, [&](int q, int s, int plane) __attribute__((always_inline)) {
          return load_vector(codes + (q * 4 + s * 2 + plane) * 32);
        }, dot);
      } else {
        dot_group<K, Rows, 2>(block, half, [&](int q, int s) __attribute__((always_inline)) {
          return load_vector(codes + (q * 2 + s) * 32);
        }, dot);
      }
      const __m256 scale[2] = {_mm256_load_ps(scales), _mm256_load_ps(scales + 8)};
      __m256 min[2] = {};
      if constexpr (K::has_min) min[0] = _mm256_load_ps(mins), min[1] = _mm256_load_ps(mins + 8);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        float* to = sums + r * kPanelRows;
        __m256 sum[2] = {_mm256_loadu_ps(to), _mm256_loadu_ps(to + 8)};
        add_group<K, 2>(*block[r], half, dot[r], scale, min, sum);
        _mm256_storeu_ps(to, sum[0]);
        _mm256_storeu_ps(to + 8, sum[1]);
      }
      codes += K::quads * 64 * (K::is_split ? 2 : 1);
      scales += kPanelRows;
      mins += kPanelRows;
      negatives += kPanelRows;
    }
  }
}

template <typename K>
void multiply_panel_rows(const Panel& panel, int64_t panel_k, const ActivationBlock* x, int64_t x_stride, int64_t rows,
                         float* sums) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) multiply_panel<K, 4>(panel, panel_k, x + r * x_stride, x_stride, sums + r * kPanelRows);
  x += r * x_stride;
  sums += r * kPanelRows;
  switch (rows - r) {
    case 1: return multiply_panel<K, 1>(panel, panel_k, x, x_stride, sums);
    case 2: return multiply_panel<K, 2>(panel, panel_k, x, x_stride, sums);
    case 3: return multiply_panel<K, 3>(panel, panel_k, x, x_stride, sums);
    default: return;
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
