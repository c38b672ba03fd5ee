// A panel: a block of k of a few strips of weights, decoded to bytes and f32 scales in scratch, and used for many rows
// of activations. Included by the quantized kernels of each vector instruction set.
#pragma once

#include <algorithm>

#include "kernels/avx2/quantized_unit.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

#ifdef __AVX512F__
constexpr int kPanelStrips = 4;
#else
constexpr int kPanelStrips = 2;
#endif
constexpr int64_t kPanelRows = kPanelStrips * kStripRows;

// Splits k: 16 KiB of codes and their scales stay in L1 while the rows of activations pass. kPanelK is a multiple of
// the block of every type.
constexpr int64_t kPanelBytes = 16384;
template <typename K>
constexpr int64_t kPlanes = K::is_split ? 2 : 1;
template <typename K>
constexpr int64_t kPanelK = kPanelBytes / kPanelRows / kPlanes<K>;

// codes is, for each group, [quads][strips][planes][32 bytes], with two planes if codes are split. The other arrays,
// with a value for each group and row, are [groups][kPanelRows].
struct Panel {
  alignas(64) unsigned char codes[kPanelBytes];
  alignas(64) float scales[kPanelBytes / 16];
  alignas(64) float mins[kPanelBytes / 16];
  alignas(64) int32_t negatives[kPanelBytes / 16];  // if split: the sum of the magnitudes of negative codes
};

// Stores a quad of strip `strip`; `codes` is the start of the quad's vectors. If codes are split, adds the magnitudes
// of negative codes to `negatives`.
template <typename K>
TESSERAE_QUANTIZED_INLINE void store_quad(unsigned char* codes, int strip, __m256i quad, __m256i& negatives) {
  auto* to = reinterpret_cast<__m256i*>(codes) + strip * kPlanes<K>;
  if constexpr (K::is_split) {
    const __m256i magnitude = _mm256_abs_epi8(quad);
    const __m256i mask = _mm256_cmpgt_epi8(_mm256_setzero_si256(), quad);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_and_si256(magnitude, mask), _mm256_set1_epi8(1));
    negatives = _mm256_add_epi32(negatives, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    _mm256_store_si256(to, magnitude);
    _mm256_store_si256(to + 1, mask);
  } else {
    _mm256_store_si256(to, quad);
  }
}

template <typename K>
constexpr int64_t kQuadBytes = kPanelStrips * kPlanes<K> * 32;

constexpr int64_t kMostUnitBytes = 1680;
alignas(64) inline constexpr unsigned char kZeroUnit[kMostUnitBytes] = {};

// Decodes `units` units of one strip, from `first` on. null means that the strip does not exist: it becomes zeros.
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
      for (int q = 0; q < K::quads; ++q, codes += kQuadBytes<K>) store_quad<K>(codes, strip, unit.quad(g, q), negatives);
      if constexpr (K::is_split) _mm256_store_si256(reinterpret_cast<__m256i*>(panel.negatives + at), negatives);
    }
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
