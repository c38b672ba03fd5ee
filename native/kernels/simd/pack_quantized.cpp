// pack_quantized: transposes eight rows at a time (8 x 8 dwords), then rearranges nibbles and high bits into
// the layout of strip.h. A tile with an incomplete last strip calls the reference.
#include "kernels/pack_quantized.h"

#include <algorithm>
#include <cstring>

#include "kernels/simd/transpose.h"

namespace tesserae {
namespace {

// One block of each of the 8 rows of a strip.
struct StripBlocks {
  const unsigned char* first;
  int64_t row_bytes;
  const unsigned char* row(int64_t r) const { return first + r * row_bytes; }
};

inline Bits256 nibbles(Bits256 v) { return bit_and(v, i8x32(15)); }
inline Bits256 upper(Bits256 v) { return nibbles(shift_right_u16(v, 4)); }
// Combines the low nibbles of both: those of `low` below, those of `high` above.
inline Bits256 pair(Bits256 low, Bits256 high) { return bit_or(low, shift_left_i16(high, 4)); }

inline void store(unsigned char* to, Bits256 v) { store_bits256(to, v); }

// Loads 32 bytes of each row from byte `at` on, transposed: out[i] has dword i of all rows.
inline void gather(const StripBlocks& blocks, int64_t at, Bits256 (&out)[8]) {
  F32x8 rows[8];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) rows[r] = load_f32x8(reinterpret_cast<const float*>(blocks.row(r) + at));
  transpose8(rows);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) out[i] = bits_of(rows[i]);
}

// The same for 16 bytes of each row: out[0 .. 3].
inline void gather_half(const StripBlocks& blocks, int64_t at, Bits256 (&out)[4]) {
  F32x8 rows[4];
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    const auto half = [&](int64_t row) {
      return load_f32x4(reinterpret_cast<const float*>(blocks.row(row) + at));
    };
    rows[r] = join(half(r), half(r + 4));
  }
  F32x8 columns[4];
  transpose_8x4(rows, columns);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) out[i] = bits_of(columns[i]);
}

inline void copy_halves(const StripBlocks& blocks, int64_t at, unsigned char* to) {
  for (int64_t r = 0; r < kStripRows; ++r) std::memcpy(to + r * 2, blocks.row(r) + at, 2);
}

void pack_q8_0(const StripBlocks& blocks, unsigned char* unit) {
  copy_halves(blocks, 0, unit);
  Bits256 quads[8];
  gather(blocks, 2, quads);
#pragma GCC unroll 8
  for (int q = 0; q < 8; ++q) store(unit + 16 + q * 32, quads[q]);
}

// Packs a group of 16 bytes of each row; the file pairs nibbles in the same way as a strip.
void pack_nibble_group(const StripBlocks& blocks, int64_t at, unsigned char* to) {
  Bits256 vectors[4];
  gather_half(blocks, at, vectors);
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) store(to + v * 32, vectors[v]);
}

// Q4_0 and IQ4_NL.
void pack_q4_0(const StripBlocks& blocks, unsigned char* unit) {
  copy_halves(blocks, 0, unit);
  pack_nibble_group(blocks, 2, unit + 16);
}

void pack_q4_1(const StripBlocks& blocks, unsigned char* unit) {
  copy_halves(blocks, 0, unit);
  copy_halves(blocks, 2, unit + 16);
  pack_nibble_group(blocks, 4, unit + 32);
}

// Packs the fifth bits, four bytes of each row: bit 4q + b becomes bit q of byte b.
void pack_fifth_bits(const StripBlocks& blocks, int64_t at, unsigned char* to) {
  alignas(32) int32_t words[kStripRows];
  for (int64_t r = 0; r < kStripRows; ++r) std::memcpy(words + r, blocks.row(r) + at, 4);
  const Bits256 bits = load_aligned_bits256(words);
  Bits256 gathered = i32x8(0);
  for (int q = 7; q >= 0; --q) {
    const Bits256 four = bit_and(shift_right_by_u32(bits, 4 * q), i32x8(15));
    // The multiplication adds copies of the four bits, shifted by 0, 7, 14 and 21: bit b becomes bit 0 of byte b.
    const Bits256 spread = bit_and(mul_i32(four, i32x8(0x204081)), i8x32(1));
    gathered = bit_or(add_i8(gathered, gathered), spread);
  }
  store(to, gathered);
}

void pack_q5_0(const StripBlocks& blocks, unsigned char* unit) {
  copy_halves(blocks, 0, unit);
  pack_fifth_bits(blocks, 2, unit + 16);
  pack_nibble_group(blocks, 6, unit + 48);
}

void pack_q5_1(const StripBlocks& blocks, unsigned char* unit) {
  copy_halves(blocks, 0, unit);
  copy_halves(blocks, 2, unit + 16);
  pack_fifth_bits(blocks, 4, unit + 32);
  pack_nibble_group(blocks, 8, unit + 64);
}

void pack_iq4_xs(const StripBlocks& blocks, unsigned char* unit) {
  constexpr StripLayout layout = strip_layout(quantized_format(QuantizedType::iq4_xs));
  copy_halves(blocks, 0, unit);
  for (int64_t r = 0; r < kStripRows; ++r) {
    for (int64_t g = 0; g < 8; ++g) {
      unit[layout.sub_scales + g * kStripRows + r] = static_cast<unsigned char>(iq4_xs_scale(blocks.row(r), g));
    }
  }
  for (int64_t g = 0; g < 8; ++g) {
    pack_nibble_group(blocks, 8 + g * 16, unit + group_place(layout, g));
  }
}

// Collects bit `shift` of each byte: that of quad q becomes bit q.
Bits256 one_bit(const Bits256 (&quads)[8], int shift) {
  Bits256 gathered = i32x8(0);
#pragma GCC unroll 8
  for (int q = 7; q >= 0; --q) {
    const Bits256 bit = bit_and(shift_right_by_u16(quads[q], shift), i8x32(1));
    gathered = bit_or(add_i8(gathered, gathered), bit);
  }
  return gathered;
}

// Collects two bits of each byte, from bit `shift` on: those of quad q become bits 2q and 2q + 1.
Bits256 pairs_of_bits(const Bits256 (&quads)[4], int shift) {
  Bits256 gathered = i32x8(0);
#pragma GCC unroll 4
  for (int q = 3; q >= 0; --q) {
    const Bits256 two = bit_and(shift_right_by_u16(quads[q], shift), i8x32(3));
    gathered = bit_or(shift_left_i16(gathered, 2), two);
  }
  return gathered;
}

// Reads the 64 bytes from `at` on, which hold two bits of each weight of 16 groups; calls write(group, vector) for each
// group.
template <typename Write>
void for_two_bit_groups(const StripBlocks& blocks, int64_t at, Write write) {
  for (int64_t run = 0; run < 4; ++run) {
    Bits256 quads[4];
    gather_half(blocks, at + run * 16, quads);
    for (int64_t j = 0; j < 4; ++j) write(run / 2 * 8 + j * 2 + run % 2, pairs_of_bits(quads, 2 * static_cast<int>(j)));
  }
}

void pack_q2_k(const StripBlocks& blocks, unsigned char* unit) {
  constexpr StripLayout layout = strip_layout(quantized_format(QuantizedType::q2_k));
  copy_halves(blocks, 80, unit);
  copy_halves(blocks, 82, unit + layout.dmin);
  for (int64_t r = 0; r < kStripRows; ++r) {
    for (int64_t g = 0; g < 16; ++g) unit[layout.sub_scales + g * kStripRows + r] = blocks.row(r)[g];
  }
  for_two_bit_groups(blocks, 16, [&](int64_t group, Bits256 codes) { store(unit + group_place(layout, group), codes); });
}

void pack_q3_k(const StripBlocks& blocks, unsigned char* unit) {
  constexpr StripLayout layout = strip_layout(quantized_format(QuantizedType::q3_k));
  copy_halves(blocks, 108, unit);
  for (int64_t r = 0; r < kStripRows; ++r) {
    for (int64_t g = 0; g < 16; ++g) {
      unit[layout.sub_scales + g * kStripRows + r] = static_cast<unsigned char>(q3_k_scale(blocks.row(r), g));
    }
  }
  for_two_bit_groups(blocks, 32, [&](int64_t group, Bits256 codes) { store(unit + group_place(layout, group), codes); });
  // Bit i of byte b belongs to group 2i or, from byte 16 on, 2i + 1.
  Bits256 high[8];
  gather(blocks, 0, high);
  for (int64_t i = 0; i < 8; ++i) {
    store(unit + high_place(layout, 2 * i), one_bit(high, static_cast<int>(i)));
  }
}

void pack_k_scales(const StripBlocks& blocks, const StripLayout& layout, unsigned char* unit) {
  copy_halves(blocks, 0, unit);
  copy_halves(blocks, 2, unit + layout.dmin);
  for (int64_t r = 0; r < kStripRows; ++r) {
    BlockFields fields;
    unpack_k_scales(blocks.row(r) + 4, fields);
    for (int64_t g = 0; g < 8; ++g) {
      unit[layout.sub_scales + g * kStripRows + r] = static_cast<unsigned char>(fields.sub_scales[g]);
      unit[layout.sub_mins + g * kStripRows + r] = fields.sub_mins[g];
    }
  }
}

// Packs 32 bytes of each row, which are two groups: the first in the low nibbles, the second in the high ones.
void pack_nibble_groups(const Bits256 (&bytes)[8], unsigned char* first, unsigned char* second) {
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    store(first + v * 32, pair(nibbles(bytes[v]), nibbles(bytes[v + 4])));
    store(second + v * 32, pair(upper(bytes[v]), upper(bytes[v + 4])));
  }
}

void pack_q4_k(const StripBlocks& blocks, unsigned char* unit) {
  constexpr StripLayout layout = strip_layout(quantized_format(QuantizedType::q4_k));
  pack_k_scales(blocks, layout, unit);
  unsigned char* codes = unit + layout.codes;
  for (int64_t c = 0; c < 4; ++c, codes += 2 * layout.group_bytes) {
    Bits256 bytes[8];
    gather(blocks, 16 + c * 32, bytes);
    pack_nibble_groups(bytes, codes, codes + layout.group_bytes);
  }
}

void pack_q5_k(const StripBlocks& blocks, unsigned char* unit) {
  constexpr StripLayout layout = strip_layout(quantized_format(QuantizedType::q5_k));
  pack_k_scales(blocks, layout, unit);
  Bits256 high[8];
  gather(blocks, 16, high);
  for (int64_t c = 0; c < 4; ++c) {
    Bits256 bytes[8];
    gather(blocks, 48 + c * 32, bytes);
    pack_nibble_groups(bytes, unit + group_place(layout, 2 * c), unit + group_place(layout, 2 * c + 1));
    // Bit g of each byte belongs to group g.
    for (int64_t g = 2 * c; g < 2 * c + 2; ++g) store(unit + high_place(layout, g), one_bit(high, static_cast<int>(g)));
  }
}

void pack_q6_k(const StripBlocks& blocks, unsigned char* unit) {
  constexpr StripLayout layout = strip_layout(quantized_format(QuantizedType::q6_k));
  copy_halves(blocks, 208, unit);
  for (int64_t r = 0; r < kStripRows; ++r) {
    for (int64_t g = 0; g < 16; ++g) unit[layout.sub_scales + g * kStripRows + r] = blocks.row(r)[192 + g];
  }
  unsigned char* codes = unit + layout.codes;
  for (int64_t half = 0; half < 2; ++half) {
    Bits256 low[2][8], high[8];
    gather(blocks, half * 64, low[0]);
    gather(blocks, half * 64 + 32, low[1]);
    gather(blocks, 128 + half * 32, high);
    // Each run is 32 weights, two groups: low or high nibbles of 32 bytes, and one pair of high bits of each byte.
    for (int64_t run = 0; run < 4; ++run) {
      const int shift = 2 * static_cast<int>(run);
      for (int group = 0; group < 2; ++group, codes += layout.high_bytes + layout.group_bytes) {
        Bits256 quads[4], bits = i32x8(0);
#pragma GCC unroll 4
        for (int q = 3; q >= 0; --q) {
          const Bits256 bytes = low[run % 2][group * 4 + q];
          quads[q] = run < 2 ? nibbles(bytes) : upper(bytes);
          const Bits256 two = bit_and(shift_right_by_u16(high[group * 4 + q], shift), i8x32(3));
          bits = bit_or(shift_left_i16(bits, 2), two);
        }
        store(codes, bits);
        store(codes + 32, pair(quads[0], quads[2]));
        store(codes + 64, pair(quads[1], quads[3]));
      }
    }
  }
}

using PackUnit = void (*)(const StripBlocks& blocks, unsigned char* unit);

PackUnit pack_unit_of(QuantizedType type) {
  switch (type) {
    case QuantizedType::q8_0: return pack_q8_0;
    case QuantizedType::q4_0:
    case QuantizedType::iq4_nl: return pack_q4_0;
    case QuantizedType::q4_1: return pack_q4_1;
    case QuantizedType::q5_0: return pack_q5_0;
    case QuantizedType::q5_1: return pack_q5_1;
    case QuantizedType::iq4_xs: return pack_iq4_xs;
    case QuantizedType::q2_k: return pack_q2_k;
    case QuantizedType::q3_k: return pack_q3_k;
    case QuantizedType::q4_k: return pack_q4_k;
    case QuantizedType::q5_k: return pack_q5_k;
    case QuantizedType::q6_k: return pack_q6_k;
  }
  return nullptr;
}

}  // namespace

inline namespace TESSERAE_ISA {

KernelStatus pack_quantized_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<PackQuantizedParams>();
  const auto type = static_cast<QuantizedType>(p.type);
  const PackUnit pack_unit = pack_unit_of(type);
  const int64_t first = tile * p.tile_strips;
  const int64_t last = std::min(first + p.tile_strips, strip_count(p.n));
  if (pack_unit == nullptr || last * kStripRows > p.n) return pack_quantized_ref(op, tile, scratch);
  const QuantizedFormat& format = quantized_format(type);
  const int64_t unit_bytes = strip_layout(format).unit_bytes;
  const int64_t units = p.k / format.block_elements;
  const int64_t row_bytes = units * format.block_bytes;
  for (int64_t strip = first; strip < last; ++strip) {
    const unsigned char* blocks = p.blocks + strip * kStripRows * row_bytes;
    unsigned char* to = p.image + strip * units * unit_bytes;
    for (int64_t u = 0; u < units; ++u) pack_unit({blocks + u * format.block_bytes, row_bytes}, to + u * unit_bytes);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
