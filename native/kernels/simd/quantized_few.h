// matmul_quantized for one row of activations (decoding), or a few: each strip of weights is read in order from the image
// and decoded in registers. The same for every vector instruction set, except for dot_strip_group, which the set's
// quantized_group.h defines and which must be included before this file.
#pragma once

#include "kernels/caches.h"
#include "kernels/simd/quantized_unit.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// Up to this many rows the image is not decoded to panels. A strip is multiplied with four rows at a time; for rows 5
// to 8 it is read from the caches. Decoding to panels costs most where signed codes are split or a scale is for 16 weights.
constexpr int64_t kMostFewRows = 8;
template <typename K>
int64_t unpacked_rows() {
#ifdef __AVX512F__
  // Codes of 2 and 3 bits are decoded faster to panels, even for one row; others for few rows where L1 has room.
  if (K::bits < 4) return 0;
  return K::bits == 8 || !has_small_l1() ? 1 : 4;
#else
  return kHasDotInstruction ? (K::bits == 8 ? 1 : 4) : (K::is_split || K::group == 16 ? 8 : 4);
#endif
}

// Distance of the prefetches of codes.
constexpr int64_t kPrefetchBytes = 4096;

// Prefetches the first kPrefetchBytes of a strip, before which no other prefetches come.
inline void prefetch_start(const unsigned char* strip) {
  for (int64_t byte = 0; byte < kPrefetchBytes; byte += 64) {
    prefetch(strip + byte);
  }
}

// Computes the sums of Rows rows with one strip: sums[r · kStripRows + j].
template <QuantizedType type, int Rows>
void multiply_strip(const unsigned char* strip, int64_t k, const ActivationBlock* x, int64_t x_stride, float* sums) {
  using U = Unit<type>;
  using K = typename U::K;
  constexpr int64_t kUnitBlocks = U::format.block_elements / kActivationBlock;
  constexpr int kHalves = 32 / K::group;
  F32x8 sum[Rows][1];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) sum[r][0] = f32x8(0);
  const int64_t units = k / U::format.block_elements;
  for (int64_t u = 0; u < units; ++u, strip += U::layout.unit_bytes) {
    const U unit(strip);
    for (int64_t b = 0; b < kUnitBlocks; ++b) {
      constexpr int64_t kBlockBytes = U::layout.unit_bytes / kUnitBlocks;
#pragma GCC unroll 8
      for (int64_t byte = 0; byte < kBlockBytes; byte += 64) {
        prefetch(strip + b * kBlockBytes + byte + kPrefetchBytes);
      }
      const ActivationBlock* block[Rows];
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) block[r] = x + r * x_stride + u * kUnitBlocks + b;
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) {
        const int64_t group = b * kHalves + half;
        Bits256 dot[Rows][1];
        dot_strip_group(unit, group, block, half, dot);
        const F32x8 scale[1] = {unit.scale(group)};
        const F32x8 min[1] = {unit.min(group)};
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) add_group<K, 1>(*block[r], half, dot[r], scale, min, sum[r]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) store_f32x8(sums + r * kStripRows, sum[r][0]);
}

template <QuantizedType type>
void multiply_strip_rows(const unsigned char* strip, int64_t k, const ActivationBlock* x, int64_t x_stride, int64_t rows,
                         float* sums) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) multiply_strip<type, 4>(strip, k, x + r * x_stride, x_stride, sums + r * kStripRows);
  x += r * x_stride;
  sums += r * kStripRows;
  switch (rows - r) {
    case 1: return multiply_strip<type, 1>(strip, k, x, x_stride, sums);
    case 2: return multiply_strip<type, 2>(strip, k, x, x_stride, sums);
    case 3: return multiply_strip<type, 3>(strip, k, x, x_stride, sums);
    default: return;
  }
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
