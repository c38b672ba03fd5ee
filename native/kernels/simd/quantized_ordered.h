// The activations of a tile in the order in which the dot products read them: for each block of 32, the values of all
// rows of a group, their scales, and what their sums contribute. Included by the quantized kernels of each vector
// instruction set.
#pragma once

#include <algorithm>

#include "kernels/simd/quantized_dot.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

// How a number of rows is split into groups of at most kMicroRows rows, whose sizes differ by one at most: the first
// `larger` groups have one row more.
struct RowGroups {
  int64_t count, rows, larger;
  RowGroups(int64_t all, int64_t most) : count((all + most - 1) / most), rows(all / count), larger(all % count) {}
  int64_t size(int64_t group) const { return rows + (group < larger ? 1 : 0); }
};

// A block of one row: an activation block whose sums are replaced by what they contribute.
template <bool has_min>
struct OrderedRow {
  int8_t values[32];
  float scale;
  int32_t half_start[2];  // of the integer sums: -offset · Σ values
  int32_t start;
};
template <>
struct OrderedRow<true> : OrderedRow<false> {
  float unused;
  float half_factor[2];  // scale · Σ values, which is multiplied by the minimum
  float factor;
};

template <typename K>
constexpr int64_t kOrderedBytes = sizeof(OrderedRow<K::has_min>);

// A block of all rows of a group. If K::group is 16, `half` is the half of the block.
template <typename K, int Rows>
struct OrderedBlock {
  OrderedRow<K::has_min> rows[Rows];

  TESSERAE_QUANTIZED_INLINE float scale(int row) const { return rows[row].scale; }
  TESSERAE_QUANTIZED_INLINE int32_t quad(int row, int half, int q) const {
    int32_t bytes;
    __builtin_memcpy(&bytes, rows[row].values + half * 16 + q * 4, 4);
    return bytes;
  }
  TESSERAE_QUANTIZED_INLINE const int8_t* octet(int row, int half, int q) const {
    return rows[row].values + half * 16 + q * 8;
  }
  TESSERAE_QUANTIZED_INLINE int32_t start(int row, int half) const {
    return K::group == 16 ? rows[row].half_start[half] : rows[row].start;
  }
  TESSERAE_QUANTIZED_INLINE float min_factor(int row, int half) const {
    return K::group == 16 ? rows[row].half_factor[half] : rows[row].factor;
  }
};

// Writes `blocks` blocks of the rows of a group in order.
template <typename K, int Rows>
void order_group(const ActivationBlock* x, int64_t x_stride, int64_t blocks, OrderedBlock<K, Rows>* to) {
  for (int64_t b = 0; b < blocks; ++b, ++x, ++to) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const ActivationBlock& from = x[r * x_stride];
      auto& row = to->rows[r];
      store_bits256(row.values, load_vector(from.values));
      const Bits128 sums = load_bits128(&from.scale);  // and the scale
      const Bits128 starts = sub_i32(i32x4(0), shift_left_i32(sums, K::offset_shift));
      store_bits128(&row.scale, first_lane_from(sums, starts));
      if constexpr (K::has_min) {
        const F32x4 scale = broadcast_first(as_f32(sums));
        store_f32x4(&row.unused, mul(scale, i32_to_f32(sums)));
      }
    }
  }
}

// Calls body with a std::integral_constant that equals `rows`, from 1 to kMicroRows.
template <int Most, typename Body>
TESSERAE_QUANTIZED_INLINE void with_rows(int64_t rows, Body body) {
  if constexpr (Most > 1) {
    if (rows < Most) return with_rows<Most - 1>(rows, body);
  }
  body(std::integral_constant<int, Most>{});
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
