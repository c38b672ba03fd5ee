// The layout in which quantized weights [n, k] are streamed: strips of 8 rows whose codes are interleaved, so that a
// lane of a vector is a row of weights and no sum is ever taken across lanes. Written by pack_quantized, read by the
// quantized matmul and embedding.
#pragma once

#include "kernels/formats/quantized_format.h"

namespace tesserae {

constexpr int64_t kStripRows = 8;

// A strip is k / block_elements units, one after the other; a unit is one block of each of the 8 rows:
//
//   d          8 halves
//   dmin       8 halves                      types with a minimum
//   sub_scales [groups][8] bytes             types with sub-scales: where a block is more than one group
//   sub_mins   [groups][8] bytes             types with both
//   codes      for each group in turn:
//                high bits   32 bytes        5 and 6 bits a code
//                vectors     32 bytes each, byte 4 · row + b
//
// A quad is 4 consecutive weights of a row, byte b of a vector's lane the b-th of them. With 8 bits a vector is one quad.
// Otherwise a group's q quads make q / 2 vectors: vector v holds quad v in the lower nibbles and quad v + q / 2 in the
// upper ones. The high bits of all quads of a group are one vector: of quad i, bit i (5 bits) or bits 2i and 2i+1 (6).
// The last strip is filled up with rows of zeros. A unit has no padding and any strip starts at a multiple of 16 bytes.
//
// Types that have no kernel of their own (strip_bits = 0) keep the blocks as the file has them, row after row.
struct StripLayout {
  bool has_sub_scales;
  bool has_sub_mins;
  int64_t groups;       // of a unit
  int64_t quads;        // of a group
  int64_t dmin;         // byte offsets within a unit
  int64_t sub_scales;
  int64_t sub_mins;
  int64_t codes;
  int64_t high_bytes;   // of a group: 0 or 32
  int64_t group_bytes;  // codes of one group
  int64_t unit_bytes;
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
  if (layout.has_sub_mins) at += layout.groups * kStripRows;
  layout.codes = at;
  layout.high_bytes = format.strip_bits == 5 || format.strip_bits == 6 ? 32 : 0;
  layout.group_bytes = layout.high_bytes + layout.quads * (format.strip_bits == 8 ? 32 : 16);
  layout.unit_bytes = at + layout.groups * layout.group_bytes;
  return layout;
}

static constexpr int64_t strip_count(int64_t n) { return (n + kStripRows - 1) / kStripRows; }

static constexpr int64_t strip_bytes(const QuantizedFormat& format, int64_t k) {
  return k / format.block_elements * strip_layout(format).unit_bytes;
}

// Where the code of element `element` (of its group) and row `row` (of its strip) is.
struct CodePlace {
  int64_t byte;       // from the group's codes
  int shift;          // of the lower four bits (0 or 4); 0 for 8 bits
  int64_t high_byte;  // of the bits above the fourth
  int high_shift;
};

static inline CodePlace code_place(const QuantizedFormat& format, const StripLayout& layout, int64_t element,
                                   int64_t row) {
  const int64_t quad = element / 4;
  const int64_t lane_byte = row * 4 + element % 4;
  if (format.strip_bits == 8) return {quad * 32 + lane_byte, 0, 0, 0};
  const int64_t half = layout.quads / 2;
  const int high_shift = static_cast<int>(format.strip_bits == 6 ? 2 * quad : quad);
  return {layout.high_bytes + quad % half * 32 + lane_byte, quad >= half ? 4 : 0, lane_byte, high_shift};
}

// Writes row `row` of a unit. The unit is all zeros before its first row is written.
static inline void write_unit_row(const QuantizedFormat& format, const BlockFields& fields, int64_t row,
                                  unsigned char* unit) {
  const StripLayout layout = strip_layout(format);
  std::memcpy(unit + row * 2, &fields.d, 2);
  if (format.min_sign != 0) std::memcpy(unit + layout.dmin + row * 2, &fields.dmin, 2);
  for (int64_t g = 0; g < layout.groups; ++g) {
    if (layout.has_sub_scales) {
      unit[layout.sub_scales + g * kStripRows + row] = static_cast<unsigned char>(fields.sub_scales[g]);
    }
    if (layout.has_sub_mins) unit[layout.sub_mins + g * kStripRows + row] = fields.sub_mins[g];
    unsigned char* codes = unit + layout.codes + g * layout.group_bytes;
    for (int64_t e = 0; e < format.group; ++e) {
      const auto code = static_cast<unsigned>(static_cast<unsigned char>(fields.codes[g * format.group + e]));
      const CodePlace place = code_place(format, layout, e, row);
      if (format.strip_bits == 8) {
        codes[place.byte] = static_cast<unsigned char>(code);
        continue;
      }
      codes[place.byte] = static_cast<unsigned char>(codes[place.byte] | (code & 15) << place.shift);
      if (layout.high_bytes == 0) continue;
      codes[place.high_byte] = static_cast<unsigned char>(codes[place.high_byte] | code >> 4 << place.high_shift);
    }
  }
}

static inline void read_unit_row(const QuantizedFormat& format, const unsigned char* unit, int64_t row,
                                 BlockFields& fields) {
  const StripLayout layout = strip_layout(format);
  std::memcpy(&fields.d, unit + row * 2, 2);
  if (format.min_sign != 0) std::memcpy(&fields.dmin, unit + layout.dmin + row * 2, 2);
  const unsigned high_mask = format.strip_bits == 6 ? 3 : 1;
  for (int64_t g = 0; g < layout.groups; ++g) {
    const int64_t of_group = g * kStripRows + row;
    fields.sub_scales[g] = layout.has_sub_scales ? static_cast<int8_t>(unit[layout.sub_scales + of_group]) : 1;
    fields.sub_mins[g] = layout.has_sub_mins ? unit[layout.sub_mins + of_group] : 1;
    const unsigned char* codes = unit + layout.codes + g * layout.group_bytes;
    for (int64_t e = 0; e < format.group; ++e) {
      const CodePlace place = code_place(format, layout, e, row);
      unsigned code = codes[place.byte];
      if (format.strip_bits < 8) code = code >> place.shift & 15;
      if (layout.high_bytes != 0) code |= (codes[place.high_byte] >> place.high_shift & high_mask) << 4;
      fields.codes[g * format.group + e] = static_cast<int8_t>(code);
    }
  }
}

// One block of a packed matrix: block number `block` of row `row`.
static inline void read_packed_block(QuantizedType type, const unsigned char* image, int64_t k, int64_t row,
                                     int64_t block, BlockFields& fields) {
  const QuantizedFormat& format = quantized_format(type);
  if (format.strip_bits == 0) {
    const int64_t row_bytes = k / format.block_elements * format.block_bytes;
    unpack_block(type, image + row * row_bytes + block * format.block_bytes, fields);
    return;
  }
  const unsigned char* strip = image + row / kStripRows * strip_bytes(format, k);
  read_unit_row(format, strip + block * strip_layout(format).unit_bytes, row % kStripRows, fields);
}

}  // namespace tesserae
