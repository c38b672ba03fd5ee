// Scalar encoders of GGUF blocks: each writes one block from its floats. The layouts are those of llama.cpp's
// ggml-common.h. Included by quantize_blocks.cpp of ref and avx2.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/block_fit.h"
#include "kernels/half.h"
#include "kernels/quantize_blocks.h"

namespace tesserae {

constexpr int kMostBlockElements = 256;

struct BlockSize {
  int elements;
  int bytes;
};

static inline BlockSize block_size(FileType type) {
  switch (type) {
    case FileType::f16: return {1, 2};
    case FileType::q4_0: return {32, 18};
    case FileType::q5_0: return {32, 22};
    case FileType::q5_1: return {32, 24};
    case FileType::q8_0: return {32, 34};
    case FileType::q4_k: return {256, 144};
    case FileType::q5_k: return {256, 176};
    case FileType::q6_k: return {256, 210};
    default: return {0, 0};
  }
}

// Stores a scale as f16; `stored` receives the value that readers will see. Returns false if it is not finite.
static inline bool put_half(unsigned char* to, float value, float* stored) {
  const uint16_t half = float_to_half(value);
  std::memcpy(to, &half, 2);
  *stored = half_to_float(half);
  return std::isfinite(*stored);
}

// The element of the largest magnitude, with its sign; the first of several.
static inline float extreme_of(const float* x, int count) {
  float extreme = 0;
  for (int i = 0; i < count; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  return extreme;
}

// Writes 16 bytes of nibbles: elements 0 to 15 in the low nibbles, 16 to 31 in the high ones.
static inline void put_nibbles(unsigned char* to, const int* q) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<unsigned char>((q[i] & 15) | ((q[i + 16] & 15) << 4));
}

// Writes the fifth bit of each of 32 elements: element i in bit i.
static inline void put_fifth_bits(unsigned char* to, const int* q) {
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(q[i] >> 4) << i;
  std::memcpy(to, &bits, 4);
}

// Q4_0 and Q5_0: the scale is chosen so that the extreme element becomes the lowest integer, -half.
static inline bool round_to_extreme(const float* x, int half, unsigned char* scale_at, int* q) {
  const float scale = extreme_of(x, 32) / static_cast<float>(-half);
  const float inverse = scale == 0 ? 0 : 1 / scale;
  float stored;
  if (!put_half(scale_at, scale, &stored)) return false;
  // The inverse of a scale that rounds to zero in f16 may be infinite.
  if (!std::isfinite(inverse)) {
    std::fill_n(q, 32, half);
    return true;
  }
  const float offset = static_cast<float>(half) + 0.5f;
  for (int i = 0; i < 32; ++i) q[i] = std::min(2 * half - 1, static_cast<int>(x[i] * inverse + offset));
  return true;
}

static inline bool encode_q4_0(const float* x, unsigned char* y) {
  int q[32];
  if (!round_to_extreme(x, 8, y, q)) return false;
  put_nibbles(y + 2, q);
  return true;
}

static inline bool encode_q5_0(const float* x, unsigned char* y) {
  int q[32];
  if (!round_to_extreme(x, 16, y, q)) return false;
  put_fifth_bits(y + 2, q);
  put_nibbles(y + 6, q);
  return true;
}

static inline bool encode_q5_1(const float* x, unsigned char* y) {
  const float low = *std::min_element(x, x + 32);
  const float high = *std::max_element(x, x + 32);
  const float scale = (high - low) / 31;
  const float inverse = scale == 0 || !std::isfinite(1 / scale) ? 0 : 1 / scale;
  float stored;
  if (!put_half(y, scale, &stored) || !put_half(y + 2, low, &stored)) return false;
  int q[32];
  for (int i = 0; i < 32; ++i) q[i] = std::min(31, static_cast<int>((x[i] - low) * inverse + 0.5f));
  put_fifth_bits(y + 4, q);
  put_nibbles(y + 8, q);
  return true;
}

static inline bool encode_q8_0(const float* x, unsigned char* y) {
  const float scale = std::fabs(extreme_of(x, 32)) / 127;
  const float inverse = scale == 0 || !std::isfinite(1 / scale) ? 0 : 1 / scale;
  float stored;
  if (!put_half(y, scale, &stored)) return false;
  for (int i = 0; i < 32; ++i) {
    // Rounds halves away from zero; the sum is exact in double.
    const double value = x[i] * inverse;
    y[2 + i] = static_cast<unsigned char>(static_cast<int>(value + std::copysign(0.5, value)));
  }
  return true;
}

// Writes the 8 scales and 8 minima of Q4_K and Q5_K, 6 bits each, into 12 bytes.
static inline void put_scales_and_minima(unsigned char* to, const int* scales, const int* minima) {
  for (int i = 0; i < 4; ++i) {
    to[i] = static_cast<unsigned char>(scales[i] | ((scales[i + 4] >> 4) << 6));
    to[i + 4] = static_cast<unsigned char>(minima[i] | ((minima[i + 4] >> 4) << 6));
    to[i + 8] = static_cast<unsigned char>((scales[i + 4] & 15) | ((minima[i + 4] & 15) << 4));
  }
}

// Computes the scales, minima and integers of a block of 8 groups of 32, for Q4_K (most = 15) and Q5_K (most = 31).
static inline bool round_groups(const float* x, int most, Trials trials, unsigned char* y, int* q) {
  AffineFit fits[8];
  double most_scale = 0;
  double most_minimum = 0;
  for (int group = 0; group < 8; ++group) {
    fits[group] = fit_affine<32>(x + 32 * group, most, trials);
    most_scale = std::max(most_scale, fits[group].scale);
    most_minimum = std::max(most_minimum, -fits[group].minimum);
  }
  float scale_unit;
  float minimum_unit;
  if (!put_half(y, static_cast<float>(most_scale / 63), &scale_unit)) return false;
  if (!put_half(y + 2, static_cast<float>(most_minimum / 63), &minimum_unit)) return false;
  int scales[8];
  int minima[8];
  for (int group = 0; group < 8; ++group) {
    const AffineFit fit = fits[group];
    scales[group] = most_scale > 0 ? std::clamp(nearest(fit.scale * 63 / most_scale), 0, 63) : 0;
    minima[group] = most_minimum > 0 ? std::clamp(nearest(-fit.minimum * 63 / most_minimum), 0, 63) : 0;
    // Rounds the elements again, with the scale and minimum that readers will see.
    const double scale = static_cast<double>(scale_unit) * scales[group];
    const double minimum = static_cast<double>(minimum_unit) * minima[group];
    for (int i = 32 * group; i < 32 * group + 32; ++i) {
      const double value = scale > 0 ? (x[i] + minimum) / scale : 0;
      q[i] = nearest(std::clamp(value, 0.0, static_cast<double>(most)));
    }
  }
  put_scales_and_minima(y + 4, scales, minima);
  return true;
}

// Writes 32 bytes for each 64 elements: the first 32 in the low nibbles, the others in the high ones.
static inline void put_nibbles_of_groups(unsigned char* to, const int* q) {
  for (int pair = 0; pair < 4; ++pair, q += 64) {
    for (int i = 0; i < 32; ++i) *to++ = static_cast<unsigned char>((q[i] & 15) | ((q[i + 32] & 15) << 4));
  }
}

static inline bool encode_q4_k(const float* x, unsigned char* y) {
  int q[256];
  if (!round_groups(x, 15, {-1, 0.1, 21}, y, q)) return false;
  put_nibbles_of_groups(y + 16, q);
  return true;
}

static inline bool encode_q5_k(const float* x, unsigned char* y) {
  int q[256];
  if (!round_groups(x, 31, {-0.5, 0.1, 16}, y, q)) return false;
  for (int i = 0; i < 32; ++i) {
    int bits = 0;
    for (int group = 0; group < 8; ++group) bits |= (q[32 * group + i] >> 4) << group;
    y[16 + i] = static_cast<unsigned char>(bits);
  }
  put_nibbles_of_groups(y + 48, q);
  return true;
}

// 16 groups of 16 with a signed 8-bit scale each; the extreme scale becomes -128.
static inline bool encode_q6_k(const float* x, unsigned char* y) {
  double scales[16];
  double extreme = 0;
  for (int group = 0; group < 16; ++group) {
    scales[group] = fit_symmetric<16>(x + 16 * group, 32);
    if (std::fabs(scales[group]) > std::fabs(extreme)) extreme = scales[group];
  }
  float unit;
  if (!put_half(y + 208, static_cast<float>(extreme / -128), &unit)) return false;
  int q[256];
  for (int group = 0; group < 16; ++group) {
    const int stored = extreme == 0 ? 0 : std::min(127, nearest(scales[group] * -128 / extreme));
    y[192 + group] = static_cast<unsigned char>(stored);
    const double scale = static_cast<double>(unit) * stored;
    for (int i = 16 * group; i < 16 * group + 16; ++i) {
      q[i] = scale == 0 ? 32 : 32 + nearest(std::clamp(x[i] / scale, -32.0, 31.0));
    }
  }
  for (int part = 0; part < 2; ++part) {
    const int* from = q + 128 * part;
    for (int i = 0; i < 64; ++i) {
      y[64 * part + i] = static_cast<unsigned char>((from[i] & 15) | ((from[i + 64] & 15) << 4));
    }
    for (int i = 0; i < 32; ++i) {
      const int high = (from[i] >> 4) | (from[i + 32] >> 4 << 2) | (from[i + 64] >> 4 << 4) | (from[i + 96] >> 4 << 6);
      y[128 + 32 * part + i] = static_cast<unsigned char>(high);
    }
  }
  return true;
}

static inline bool encode_f16(const float* x, unsigned char* y) {
  float stored;
  return put_half(y, *x, &stored);
}

// Returns false if the block cannot be encoded.
static inline bool encode_block(FileType type, const float* x, unsigned char* y) {
  switch (type) {
    case FileType::f16: return encode_f16(x, y);
    case FileType::q4_0: return encode_q4_0(x, y);
    case FileType::q5_0: return encode_q5_0(x, y);
    case FileType::q5_1: return encode_q5_1(x, y);
    case FileType::q8_0: return encode_q8_0(x, y);
    case FileType::q4_k: return encode_q4_k(x, y);
    case FileType::q5_k: return encode_q5_k(x, y);
    case FileType::q6_k: return encode_q6_k(x, y);
    default: return false;
  }
}

// Converts `count` elements from element `first` on to f32. Returns false if one of them is NaN or infinite.
static inline bool widen_elements(FileType type, const void* from, int64_t first, int count, float* to) {
  const unsigned char* at = static_cast<const unsigned char*>(from) + first * (type == FileType::f32 ? 4 : 2);
  if (type == FileType::f32) {
    std::memcpy(to, at, static_cast<size_t>(count) * 4);
  } else {
    for (int i = 0; i < count; ++i) {
      uint16_t element;
      std::memcpy(&element, at + 2 * i, 2);
      const uint32_t bits = static_cast<uint32_t>(element) << 16;
      if (type == FileType::f16) to[i] = half_to_float(element);
      else std::memcpy(to + i, &bits, 4);
    }
  }
  // The sum of x - x is 0 if all elements are finite, else NaN.
  float sum = 0;
  for (int i = 0; i < count; ++i) sum += to[i] - to[i];
  return sum == 0;
}

static inline KernelStatus quantize_tile(const QuantizeBlocksParams& p, int64_t tile) {
  const auto type = static_cast<FileType>(p.y_type);
  const BlockSize size = block_size(type);
  const int64_t last = std::min((tile + 1) * p.tile_blocks, p.blocks);
  float x[kMostBlockElements];
  for (int64_t block = tile * p.tile_blocks; block < last; ++block) {
    const bool written = widen_elements(static_cast<FileType>(p.x_type), p.x, block * size.elements, size.elements, x) &&
                         encode_block(type, x, p.y + block * size.bytes);
    if (!written) return KernelStatus::value_out_of_range;
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
