// A panel: some of k of two strips of weights, decoded to bytes and f32 scales in scratch, to be reused for many rows of
// activations. Included by the AVX2 quantized kernels only.
#pragma once

#include <algorithm>

#include "kernels/avx2/quantized_unit.h"

namespace tesserae::quantized {

constexpr int64_t kPanelRows = 2 * kStripRows;

// Cuts k: codes of 16 x 1024 bytes and their scales stay in L1 while the rows of activations pass. A multiple of all
// blocks.
constexpr int64_t kPanelK = 1024;

// The codes of a group are [quads][2 strips][32 bytes]; scales and minima are [groups][16].
struct Panel {
  alignas(64) unsigned char codes[kPanelRows * kPanelK];
  alignas(64) float scales[kPanelK / 16 * kPanelRows];
  alignas(64) float mins[kPanelK / 16 * kPanelRows];
};

// Writes `units` units of one strip, from `first` on. A strip that does not exist is given as null: zeros.
template <QuantizedType type>
void decode_strip(const unsigned char* first, int64_t units, int strip, Panel& panel) {
  using U = Unit<type>;
  constexpr int quads = U::K::quads;
  unsigned char* codes = panel.codes + strip * 32;
  int64_t at = strip * kStripRows;
  if (first == nullptr) {
    for (int64_t g = 0; g < units * U::layout.groups; ++g, at += kPanelRows) {
      _mm256_store_ps(panel.scales + at, _mm256_setzero_ps());
      _mm256_store_ps(panel.mins + at, _mm256_setzero_ps());
      for (int q = 0; q < quads; ++q, codes += 64) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(codes), _mm256_setzero_si256());
      }
    }
    return;
  }
  for (int64_t u = 0; u < units; ++u) {
    const U unit(first + u * U::layout.unit_bytes);
    for (int64_t g = 0; g < U::layout.groups; ++g, at += kPanelRows) {
      _mm256_store_ps(panel.scales + at, unit.scale(g));
      if constexpr (U::has_min) _mm256_store_ps(panel.mins + at, unit.min(g));
#pragma GCC unroll 8
      for (int q = 0; q < quads; ++q, codes += 64) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(codes), unit.quad(g, q));
      }
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
      // A quad of one row is four bytes in a row, both here and there.
      unsigned char* codes = panel.codes + b * format.block_elements * kPanelRows + row * 4;
      for (int64_t e = 0; e < format.block_elements; e += 4, codes += kPanelRows * 4) {
        for (int64_t i = 0; i < 4; ++i) codes[i] = static_cast<unsigned char>(fields.codes[e + i] - format.offset);
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
  for (int64_t b = 0; b < panel_k / kActivationBlock; ++b) {
    const ActivationBlock* block[Rows];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) block[r] = x + r * x_stride + b;
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half) {
      __m256i dot[Rows][2];
      dot_group<K, Rows, 2>(block, half, [&](int q, int s) __attribute__((always_inline)) {
        return load_vector(codes + (q * 2 + s) * 32);
      }, dot);
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
      codes += K::quads * 64;
      scales += kPanelRows;
      mins += kPanelRows;
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

}  // namespace tesserae::quantized
