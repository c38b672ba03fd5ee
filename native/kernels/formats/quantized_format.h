// The quantized types of GGUF files: sizes, groups, and the fields of one block of a file. The block structs of
// llama.cpp's ggml-common.h are the specification. Not here: the layout that the kernels read (strip.h). Included by
// the packing and by the kernels that compute with quantized weights.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/half.h"

namespace tesserae {

// The numbers are shared with src/ops/quantized/quantized-type.ts.
enum class QuantizedType : int64_t {
  q4_0 = 0,
  q4_1 = 1,
  q5_0 = 2,
  q5_1 = 3,
  q8_0 = 4,
  q2_k = 5,
  q3_k = 6,
  q4_k = 7,
  q5_k = 8,
  q6_k = 9,
  iq4_nl = 10,
  iq4_xs = 11,
};

// A weight is scale · level + min, with scale = d · sub_scale and min = min_sign · dmin · sub_min. A group is
// consecutive weights of a row with one sub_scale and sub_min; a block is a unit of the file, with one d and dmin. The
// level is code - offset, or kIq4Codes[code].
struct QuantizedFormat {
  int64_t block_elements;
  int64_t block_bytes;
  int64_t group;       // weights that share a scale
  int32_t offset;      // of the codes
  int32_t min_sign;    // 0: the type has no minimum
  int32_t bits;      // of a code
  bool is_lookup = false;
};

static constexpr QuantizedFormat kQuantizedFormats[] = {
    {32, 18, 32, 8, 0, 4},      // Q4_0
    {32, 20, 32, 0, 1, 4},      // Q4_1
    {32, 22, 32, 16, 0, 5},     // Q5_0
    {32, 24, 32, 0, 1, 5},      // Q5_1
    {32, 34, 32, 0, 0, 8},      // Q8_0
    {256, 84, 16, 0, -1, 2},    // Q2_K
    {256, 110, 16, 4, 0, 3},    // Q3_K
    {256, 144, 32, 0, -1, 4},   // Q4_K
    {256, 176, 32, 0, -1, 5},   // Q5_K
    {256, 210, 16, 32, 0, 6},   // Q6_K
    {32, 18, 32, 0, 0, 4, true},    // IQ4_NL
    {256, 136, 32, 0, 0, 4, true},  // IQ4_XS
};

static constexpr const QuantizedFormat& quantized_format(QuantizedType type) {
  return kQuantizedFormats[static_cast<int64_t>(type)];
}

constexpr int64_t kMostBlockElements = 256;
constexpr int64_t kMostGroups = 16;

// The unpacked contents of a block. Types without sub-scales have sub_scales[0] = 1. sub_mins is used only by types
// with a minimum.
struct BlockFields {
  uint16_t d;     // f16 bits, as stored in the file
  uint16_t dmin;
  int8_t sub_scales[kMostGroups];
  uint8_t sub_mins[kMostGroups];
  int8_t codes[kMostBlockElements];  // in row order

  float scale(int64_t group) const { return half_to_float(d) * static_cast<float>(sub_scales[group]); }
  float min(const QuantizedFormat& format, int64_t group) const {
    if (format.min_sign == 0) return 0.0f;
    return static_cast<float>(format.min_sign) * (half_to_float(dmin) * static_cast<float>(sub_mins[group]));
  }
};

static constexpr int8_t kIq4Codes[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// The integer that is multiplied by the scale of the weight `element`, in [-128, 127].
static inline int32_t level_of(const QuantizedFormat& format, const BlockFields& fields, int64_t element) {
  const int8_t code = fields.codes[element];
  return format.is_lookup ? kIq4Codes[code] : code - format.offset;
}

static inline uint16_t load_u16(const unsigned char* from) {
  return static_cast<uint16_t>(from[0] | from[1] << 8);
}

// Unpacks nibbles: first the low nibbles of all bytes, then the high ones.
static inline void unpack_nibbles(const unsigned char* packed, int64_t bytes, int8_t* codes) {
  for (int64_t i = 0; i < bytes; ++i) {
    codes[i] = static_cast<int8_t>(packed[i] & 15);
    codes[bytes + i] = static_cast<int8_t>(packed[i] >> 4);
  }
}

// The fields of a block that is one group: one scale (and minimum).
static inline void simple_fields(uint16_t d, uint16_t min, BlockFields& fields) {
  fields.d = d;
  fields.dmin = min;
  fields.sub_scales[0] = 1;
  fields.sub_mins[0] = 1;
}

// Adds the fifth bit to each of 32 codes.
static inline void fifth_bits(const unsigned char* bits, int8_t* codes) {
  for (int64_t i = 0; i < 32; ++i) {
    codes[i] = static_cast<int8_t>(codes[i] | (bits[i / 8] >> (i % 8) & 1) << 4);
  }
}

// Unpacks the 8 scales and 8 minima of Q4_K and Q5_K, 6 bits each, from 12 bytes.
static inline void unpack_k_scales(const unsigned char* packed, BlockFields& fields) {
  for (int64_t i = 0; i < 4; ++i) {
    fields.sub_scales[i] = static_cast<int8_t>(packed[i] & 63);
    fields.sub_mins[i] = static_cast<uint8_t>(packed[i + 4] & 63);
    fields.sub_scales[i + 4] = static_cast<int8_t>((packed[i + 8] & 15) | packed[i] >> 6 << 4);
    fields.sub_mins[i + 4] = static_cast<uint8_t>(packed[i + 8] >> 4 | packed[i + 4] >> 6 << 4);
  }
}

static inline void unpack_q2_k(const unsigned char* block, BlockFields& fields) {
  fields.d = load_u16(block + 80);
  fields.dmin = load_u16(block + 82);
  for (int64_t g = 0; g < 16; ++g) {
    fields.sub_scales[g] = static_cast<int8_t>(block[g] & 15);
    fields.sub_mins[g] = static_cast<uint8_t>(block[g] >> 4);
  }
  const unsigned char* packed = block + 16;
  for (int64_t i = 0; i < 256; ++i) {
    fields.codes[i] = static_cast<int8_t>(packed[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3);
  }
}

static inline int8_t q3_k_scale(const unsigned char* block, int64_t group) {
  const unsigned char* scales = block + 96;
  const int low = scales[group % 8] >> (group / 8 * 4) & 15;
  const int top = scales[8 + group % 4] >> (group / 4 * 2) & 3;
  return static_cast<int8_t>((low | top << 4) - 32);
}

static inline void unpack_q3_k(const unsigned char* block, BlockFields& fields) {
  const unsigned char* high = block;
  const unsigned char* packed = block + 32;
  fields.d = load_u16(block + 108);
  for (int64_t g = 0; g < 16; ++g) fields.sub_scales[g] = q3_k_scale(block, g);
  for (int64_t i = 0; i < 256; ++i) {
    const int low = packed[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
    fields.codes[i] = static_cast<int8_t>(low | (high[i % 32] >> (i / 32) & 1) << 2);
  }
}

static inline void unpack_q4_k(const unsigned char* block, BlockFields& fields) {
  fields.d = load_u16(block);
  fields.dmin = load_u16(block + 2);
  unpack_k_scales(block + 4, fields);
  for (int64_t c = 0; c < 4; ++c) unpack_nibbles(block + 16 + c * 32, 32, fields.codes + c * 64);
}

static inline void unpack_q5_k(const unsigned char* block, BlockFields& fields) {
  fields.d = load_u16(block);
  fields.dmin = load_u16(block + 2);
  unpack_k_scales(block + 4, fields);
  const unsigned char* high = block + 16;
  for (int64_t c = 0; c < 4; ++c) unpack_nibbles(block + 48 + c * 32, 32, fields.codes + c * 64);
  for (int64_t i = 0; i < 256; ++i) {
    fields.codes[i] = static_cast<int8_t>(fields.codes[i] | (high[i % 32] >> (i / 32) & 1) << 4);
  }
}

static inline void unpack_q6_k(const unsigned char* block, BlockFields& fields) {
  const unsigned char* low = block;
  const unsigned char* high = block + 128;
  fields.d = load_u16(block + 208);
  std::memcpy(fields.sub_scales, block + 192, 16);
  for (int64_t i = 0; i < 256; ++i) {
    const int64_t half = i / 128;
    const int nibble = low[half * 64 + i % 64] >> (i / 64 % 2 * 4) & 15;
    const int top = high[half * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
    fields.codes[i] = static_cast<int8_t>(nibble | top << 4);
  }
}

static inline int8_t iq4_xs_scale(const unsigned char* block, int64_t group) {
  const int low = block[4 + group / 2] >> (group % 2 * 4) & 15;
  const int high = load_u16(block + 2) >> (2 * group) & 3;
  return static_cast<int8_t>((low | high << 4) - 32);
}

static inline void unpack_iq4_xs(const unsigned char* block, BlockFields& fields) {
  fields.d = load_u16(block);
  for (int64_t g = 0; g < 8; ++g) {
    fields.sub_scales[g] = iq4_xs_scale(block, g);
    unpack_nibbles(block + 8 + g * 16, 16, fields.codes + g * 32);
  }
}

// Unpacks one block of a file. `block` needs no alignment.
static inline void unpack_block(QuantizedType type, const unsigned char* block, BlockFields& fields) {
  switch (type) {
    case QuantizedType::q4_0:
      simple_fields(load_u16(block), 0, fields);
      unpack_nibbles(block + 2, 16, fields.codes);
      return;
    case QuantizedType::q4_1:
      simple_fields(load_u16(block), load_u16(block + 2), fields);
      unpack_nibbles(block + 4, 16, fields.codes);
      return;
    case QuantizedType::q5_0:
      simple_fields(load_u16(block), 0, fields);
      unpack_nibbles(block + 6, 16, fields.codes);
      fifth_bits(block + 2, fields.codes);
      return;
    case QuantizedType::q5_1:
      simple_fields(load_u16(block), load_u16(block + 2), fields);
      unpack_nibbles(block + 8, 16, fields.codes);
      fifth_bits(block + 4, fields.codes);
      return;
    case QuantizedType::q8_0:
      simple_fields(load_u16(block), 0, fields);
      std::memcpy(fields.codes, block + 2, 32);
      return;
    case QuantizedType::iq4_nl:
      simple_fields(load_u16(block), 0, fields);
      unpack_nibbles(block + 2, 16, fields.codes);
      return;
    case QuantizedType::q2_k: return unpack_q2_k(block, fields);
    case QuantizedType::q3_k: return unpack_q3_k(block, fields);
    case QuantizedType::q4_k: return unpack_q4_k(block, fields);
    case QuantizedType::q5_k: return unpack_q5_k(block, fields);
    case QuantizedType::q6_k: return unpack_q6_k(block, fields);
    case QuantizedType::iq4_xs: return unpack_iq4_xs(block, fields);
  }
}

}  // namespace tesserae
