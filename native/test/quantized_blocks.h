// Blocks of quantized weights for tests: random blocks, and their weights in float64. The decoding follows the loops
// that define the formats (ggml), not the kernels' unpacking.
#pragma once

#include <string>

#include "kernels/formats/quantized_format.h"
#include "rows_testing.h"

namespace tesserae::testing {

inline const std::vector<QuantizedType>& quantized_types() {
  static const std::vector<QuantizedType> types = [] {
    std::vector<QuantizedType> all;
    for (int64_t code = 0; code < 12; ++code) all.push_back(static_cast<QuantizedType>(code));
    return all;
  }();
  return types;
}

// The byte offsets of the f16 fields of a block: scale, and minimum or -1.
struct HalfPlaces {
  int d;
  int dmin;
};

inline HalfPlaces half_places(QuantizedType type) {
  switch (type) {
    case QuantizedType::q4_1:
    case QuantizedType::q5_1:
    case QuantizedType::q4_k:
    case QuantizedType::q5_k: return {0, 2};
    case QuantizedType::q2_k: return {80, 82};
    case QuantizedType::q3_k: return {108, -1};
    case QuantizedType::q6_k: return {208, -1};
    default: return {0, -1};
  }
}

// Blocks of random bits, except for the f16 fields, which are numbers of moderate size and either sign.
inline std::vector<unsigned char> random_blocks(QuantizedType type, int64_t count, Random& random) {
  const QuantizedFormat& format = quantized_format(type);
  std::vector<unsigned char> bytes(static_cast<size_t>(count * format.block_bytes));
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random.bits());
  for (int64_t block = 0; block < count; ++block) {
    const HalfPlaces places = half_places(type);
    for (const int place : {places.d, places.dmin}) {
      if (place < 0) continue;
      const uint16_t half = float_to_half(random.uniform() * 0.1f);
      std::memcpy(bytes.data() + block * format.block_bytes + place, &half, 2);
    }
  }
  return bytes;
}

namespace blocks {

inline double half_at(const unsigned char* p) { return half_to_float(static_cast<uint16_t>(p[0] + 256 * p[1])); }

inline void k_scale(int j, const unsigned char* q, int& scale, int& min) {
  if (j < 4) {
    scale = q[j] % 64;
    min = q[j + 4] % 64;
  } else {
    scale = q[j + 4] % 16 + q[j - 4] / 64 * 16;
    min = q[j + 4] / 16 + q[j] / 64 * 16;
  }
}

inline void q4_or_q5_k(const unsigned char* block, bool has_fifth, double* y) {
  const double d = half_at(block), dmin = half_at(block + 2);
  const unsigned char* scales = block + 4;
  const unsigned char* high = block + 16;
  const unsigned char* low = block + (has_fifth ? 48 : 16);
  int is = 0;
  for (int j = 0; j < 256; j += 64, low += 32) {
    for (int part = 0; part < 2; ++part, ++is) {
      int scale, min;
      k_scale(is, scales, scale, min);
      for (int l = 0; l < 32; ++l) {
        int q = part == 0 ? low[l] % 16 : low[l] / 16;
        if (has_fifth && (high[l] & (1 << is))) q += 16;
        *y++ = d * scale * q - dmin * min;
      }
    }
  }
}

inline void q6_k(const unsigned char* block, double* y) {
  const unsigned char* ql = block;
  const unsigned char* qh = block + 128;
  const double d = half_at(block + 208);
  for (int half = 0; half < 2; ++half, y += 128, ql += 64, qh += 32) {
    for (int l = 0; l < 32; ++l) {
      const auto scale = [&](int i) { return d * static_cast<int8_t>(block[192 + half * 8 + l / 16 + i]); };
      y[l] = scale(0) * (ql[l] % 16 + qh[l] % 4 * 16 - 32);
      y[l + 32] = scale(2) * (ql[l + 32] % 16 + qh[l] / 4 % 4 * 16 - 32);
      y[l + 64] = scale(4) * (ql[l] / 16 + qh[l] / 16 % 4 * 16 - 32);
      y[l + 96] = scale(6) * (ql[l + 32] / 16 + qh[l] / 64 * 16 - 32);
    }
  }
}

inline void q3_k(const unsigned char* block, double* y) {
  const unsigned char* q = block + 32;
  const unsigned char* packed = block + 96;
  const double d = half_at(block + 108);
  int scales[16];
  for (int i = 0; i < 4; ++i) {
    scales[i] = packed[i] % 16 + packed[8 + i] % 4 * 16;
    scales[i + 4] = packed[i + 4] % 16 + packed[8 + i] / 4 % 4 * 16;
    scales[i + 8] = packed[i] / 16 + packed[8 + i] / 16 % 4 * 16;
    scales[i + 12] = packed[i + 4] / 16 + packed[8 + i] / 64 * 16;
  }
  int is = 0, mask = 1;
  for (int half = 0; half < 2; ++half, q += 32) {
    for (int j = 0; j < 4; ++j, mask *= 2) {
      for (int sub = 0; sub < 2; ++sub, ++is) {
        for (int l = sub * 16; l < sub * 16 + 16; ++l) {
          *y++ = d * (scales[is] - 32) * ((q[l] >> (2 * j)) % 4 - (block[l] & mask ? 0 : 4));
        }
      }
    }
  }
}

inline void q2_k(const unsigned char* block, double* y) {
  const unsigned char* q = block + 16;
  const double d = half_at(block + 80), dmin = half_at(block + 82);
  int is = 0;
  for (int half = 0; half < 2; ++half, q += 32) {
    for (int j = 0; j < 4; ++j) {
      for (int sub = 0; sub < 2; ++sub, ++is) {
        for (int l = sub * 16; l < sub * 16 + 16; ++l) {
          *y++ = d * (block[is] % 16) * ((q[l] >> (2 * j)) % 4) - dmin * (block[is] / 16);
        }
      }
    }
  }
}

inline void iq4_xs(const unsigned char* block, double* y) {
  static const int codes[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  const double d = half_at(block);
  const int high = block[2] + 256 * block[3];
  for (int g = 0; g < 8; ++g, y += 32) {
    const int low = g % 2 == 0 ? block[4 + g / 2] % 16 : block[4 + g / 2] / 16;
    const int scale = low + (high >> (2 * g)) % 4 * 16 - 32;
    for (int j = 0; j < 16; ++j) {
      y[j] = d * scale * codes[block[8 + g * 16 + j] % 16];
      y[j + 16] = d * scale * codes[block[8 + g * 16 + j] / 16];
    }
  }
}

}  // namespace blocks

// The weights of one block.
inline void dequantize_oracle(QuantizedType type, const unsigned char* block, double* y) {
  static const int codes[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  const double d = blocks::half_at(block);
  const auto fifth = [](const unsigned char* bits, int i) { return bits[i / 8] >> (i % 8) & 1 ? 16 : 0; };
  switch (type) {
    case QuantizedType::q2_k: return blocks::q2_k(block, y);
    case QuantizedType::q3_k: return blocks::q3_k(block, y);
    case QuantizedType::q4_k: return blocks::q4_or_q5_k(block, false, y);
    case QuantizedType::q5_k: return blocks::q4_or_q5_k(block, true, y);
    case QuantizedType::q6_k: return blocks::q6_k(block, y);
    case QuantizedType::iq4_xs: return blocks::iq4_xs(block, y);
    case QuantizedType::q8_0:
      for (int j = 0; j < 32; ++j) y[j] = d * static_cast<int8_t>(block[2 + j]);
      return;
    default: break;
  }
  for (int j = 0; j < 32; ++j) {
    const auto nibble = [&](int start) { return j < 16 ? block[start + j] % 16 : block[start + j - 16] / 16; };
    switch (type) {
      case QuantizedType::q4_0: y[j] = d * (nibble(2) - 8); break;
      case QuantizedType::q4_1: y[j] = d * nibble(4) + blocks::half_at(block + 2); break;
      case QuantizedType::q5_0: y[j] = d * (nibble(6) + fifth(block + 2, j) - 16); break;
      case QuantizedType::q5_1: y[j] = d * (nibble(8) + fifth(block + 4, j)) + blocks::half_at(block + 2); break;
      default: y[j] = d * codes[nibble(2)]; break;  // IQ4_NL
    }
  }
}

// A matrix [n, k] of random blocks: the (misaligned) bytes of a file, its packed image, and its weights in float64.
struct QuantizedWeights {
  QuantizedType type;
  int64_t n, k;
  std::vector<unsigned char> file;  // starts at byte kMisalignment
  std::vector<unsigned char> image;
  std::vector<double> values;

  static constexpr int64_t kMisalignment = 3;
  const unsigned char* blocks() const { return file.data() + kMisalignment; }
};

}  // namespace tesserae::testing
