// The packed layout of quantized weights [n, k]: strips of 8 rows with interleaved codes, so that each 32-bit lane of a
// vector belongs to one row of weights, and no sum is taken across lanes. Written by pack_quantized, read by
// matmul_quantized and embedding_quantized.
#pragma once

#include "kernels/formats/quantized_format.h"

namespace tesserae {

constexpr int64_t kStripRows = 8;

// A strip is k / block_elements contiguous units; a unit is one block of each of the 8 rows:
//
//   d          8 halves
//   dmin       8 halves                      types with a minimum
//   sub_scales [groups][8] bytes             types with more than one group a block
//   sub_mins   [groups][8] bytes             the same, with a minimum; in Q2_K bits 4 to 7 of the sub_scales instead
//   codes      for each group (types of 3 bits: for each two groups):
//                high bits   32 bytes        types of 3, 5 and 6 bits a code
//                vectors     32 bytes each, byte 4 · row + b
//
// A quad is 4 consecutive weights of a row; byte b of a lane belongs to weight b of a quad. The vectors of a group:
//   8 bits      each vector is one quad
//   2, 3 bits   one vector has the four quads of the group (its low two bits): quad v in bits 2v and 2v + 1
//   4, 5, 6     q quads form q / 2 vectors (their low four bits): vector v has quad v in the low nibbles and quad
//               v + q / 2 in the high ones
// The vector of high bits has those of all quads: quad i has bit i (5 bits), bits 2i and 2i + 1 (6 bits), or bit i for
// the first and bit 4 + i for the second of two groups (3 bits). The last strip is padded with rows of zeros. A unit
// has no padding; every strip starts at a multiple of 16 bytes.
struct StripLayout {
  bool has_sub_scales;
  bool has_sub_mins;
  int64_t groups;       // in a unit
  int64_t quads;        // in a group
  int64_t dmin;         // byte offsets within a unit
  int64_t sub_scales;
  int64_t sub_mins;
  int64_t codes;
  int64_t together;     // groups that share a vector of high bits: 1 or 2
  int64_t high_bytes;   // size of that vector: 0 or 32
  int64_t group_bytes;  // size of the codes of one group without high bits
  int64_t unit_bytes;
  bool has_joint_subs;  // one byte has a sub-scale in its low and a sub-minimum in its high nibble
};

static constexpr StripLayout strip_layout(const QuantizedFormat& format) {
  StripLayout layout = {};
  layout.has_sub_scales = format.block_elements > format.group;
  layout.has_sub_mins = layout.has_sub_scales && format.min_sign != 0;
  layout.groups = format.block_elements / format.group;
  layout.quads = format.group / 4;
  int64_t at = 2 * kStripRows;
  layout.dmin = at;
  if (format.min_sign != 0) at += 2 * kStripRows;
  layout.sub_scales = at;
  if (layout.has_sub_scales) at += layout.groups * kStripRows;
  layout.sub_mins = at;
  layout.has_joint_subs = format.bits == 2;
  if (layout.has_sub_mins && !layout.has_joint_subs) at += layout.groups * kStripRows;
  layout.codes = at;
  layout.together = format.bits == 3 ? 2 : 1;
  layout.high_bytes = format.bits == 3 || format.bits == 5 || format.bits == 6 ? 32 : 0;
  layout.group_bytes = layout.quads * (format.bits == 8 ? 32 : format.bits >= 4 ? 16 : 8);
  layout.unit_bytes = at + layout.groups * (layout.group_bytes + layout.high_bytes / layout.together);
  return layout;
}

static constexpr int64_t strip_count(int64_t n) { return (n + kStripRows - 1) / kStripRows; }

static constexpr int64_t strip_bytes(const QuantizedFormat& format, int64_t k) {
  return k / format.block_elements * strip_layout(format).unit_bytes;
}

// Byte offsets within a unit of the high bits of a group (high_place) and of its vectors (group_place).
static constexpr int64_t high_place(const StripLayout& layout, int64_t group) {
  return layout.codes + group / layout.together * (layout.together * layout.group_bytes + layout.high_bytes);
}
static constexpr int64_t group_place(const StripLayout& layout, int64_t group) {
  return high_place(layout, group) + layout.high_bytes + (group & (layout.together - 1)) * layout.group_bytes;
}

// Where the code of one weight is stored within a unit.
struct CodePlace {
  int64_t byte;       // of the low bits
  int bits;           // number of low bits: 2, 4 or 8
  int shift;          // of the low bits within the byte
  int64_t high_byte;  // of the bits above those
  int high_shift;
};

// The place of element `element` of group `group` in row `row` of the strip.
static inline CodePlace code_place(const QuantizedFormat& format, const StripLayout& layout, int64_t group,
                                   int64_t element, int64_t row) {
  const int64_t quad = element / 4;
  const int64_t lane_byte = row * 4 + element % 4;
  const int64_t first = group_place(layout, group);
  if (format.bits == 8) return {first + quad * 32 + lane_byte, 8, 0, 0, 0};
  const int64_t high_byte = high_place(layout, group) + lane_byte;
  if (format.bits < 4) {
    const auto high_shift = static_cast<int>((group & (layout.together - 1)) * 4 + quad);
    return {first + lane_byte, 2, static_cast<int>(2 * quad), high_byte, high_shift};
  }
  const int64_t half = layout.quads / 2;
  const auto high_shift = static_cast<int>(format.bits == 6 ? 2 * quad : quad);
  return {first + quad % half * 32 + lane_byte, 4, quad >= half ? 4 : 0, high_byte, high_shift};
}

// Writes row `row` of a unit. The unit must be zeroed before its first row is written.
static inline void write_unit_row(const QuantizedFormat& format, const BlockFields& fields, int64_t row,
                                  unsigned char* unit) {
  const StripLayout layout = strip_layout(format);
  std::memcpy(unit + row * 2, &fields.d, 2);
  if (format.min_sign != 0) std::memcpy(unit + layout.dmin + row * 2, &fields.dmin, 2);
  for (int64_t g = 0; g < layout.groups; ++g) {
    unsigned char* of_group = unit + layout.sub_scales + g * kStripRows + row;
    if (layout.has_joint_subs) *of_group = static_cast<unsigned char>(fields.sub_scales[g] | fields.sub_mins[g] << 4);
    else if (layout.has_sub_scales) *of_group = static_cast<unsigned char>(fields.sub_scales[g]);
    if (layout.has_sub_mins && !layout.has_joint_subs) unit[layout.sub_mins + g * kStripRows + row] = fields.sub_mins[g];
    for (int64_t e = 0; e < format.group; ++e) {
      const auto code = static_cast<unsigned>(static_cast<unsigned char>(fields.codes[g * format.group + e]));
      const CodePlace place = code_place(format, layout, g, e, row);
      const unsigned low = code & ((1u << place.bits) - 1);
      unit[place.byte] = static_cast<unsigned char>(unit[place.byte] | low << place.shift);
      if (layout.high_bytes == 0) continue;
      unit[place.high_byte] = static_cast<unsigned char>(unit[place.high_byte] | code >> place.bits << place.high_shift);
    }
  }
}

static inline void read_unit_row(const QuantizedFormat& format, const unsigned char* unit, int64_t row,
                                 BlockFields& fields) {
  const StripLayout layout = strip_layout(format);
  std::memcpy(&fields.d, unit + row * 2, 2);
  if (format.min_sign != 0) std::memcpy(&fields.dmin, unit + layout.dmin + row * 2, 2);
  const unsigned high_mask = format.bits == 6 ? 3 : 1;
  for (int64_t g = 0; g < layout.groups; ++g) {
    const int64_t of_group = g * kStripRows + row;
    const unsigned char sub_scale = layout.has_sub_scales ? unit[layout.sub_scales + of_group] : 1;
    fields.sub_scales[g] = static_cast<int8_t>(layout.has_joint_subs ? sub_scale & 15 : sub_scale);
    if (layout.has_joint_subs) fields.sub_mins[g] = sub_scale >> 4;
    else fields.sub_mins[g] = layout.has_sub_mins ? unit[layout.sub_mins + of_group] : 1;
    for (int64_t e = 0; e < format.group; ++e) {
      const CodePlace place = code_place(format, layout, g, e, row);
      unsigned code = static_cast<unsigned>(unit[place.byte]) >> place.shift & ((1u << place.bits) - 1);
      if (layout.high_bytes != 0) code |= (unit[place.high_byte] >> place.high_shift & high_mask) << place.bits;
      fields.codes[g * format.group + e] = static_cast<int8_t>(code);
    }
  }
}

// Reads block number `block` of row `row` of a packed matrix.
static inline void read_packed_block(QuantizedType type, const unsigned char* image, int64_t k, int64_t row,
                                     int64_t block, BlockFields& fields) {
  const QuantizedFormat& format = quantized_format(type);
  const unsigned char* strip = image + row / kStripRows * strip_bytes(format, k);
  read_unit_row(format, strip + block * strip_layout(format).unit_bytes, row % kStripRows, fields);
}

}  // namespace tesserae
