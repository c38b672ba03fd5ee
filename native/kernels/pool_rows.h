// pool_rows: the states of a text's tokens become one vector: their mean, the first or the last, then scaled. Called
// through the kernel table. Recorded by src/ops/rowwise/pool-rows.ts.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/op.h"

namespace tesserae {

// The numbers are shared with src/ops/rowwise/pool-rows.ts.
enum class Pooling : int32_t { mean = 0, last = 1, first = 2 };

// What is to be pooled, written before each run: consecutive rows of x, which are consecutive tokens of one text.
struct PoolItem {
  int32_t first_row;
  int32_t rows;        // 0: the item is not used
  int32_t from;        // the first row's index in its text
  int32_t total;       // tokens of the text
  int32_t pooling;     // Pooling
  int32_t dimensions;  // leading columns that are wanted, 1 .. columns
  int32_t normalize;   // 0 or 1
  int32_t reserved;    // 0
};

// Item i has sums[i] and y[i]. The sum of a column is that of the text's rows in their order, in double precision; for
// `last` and `first` that of one row. If from > 0 it goes on from sums[i]. If the rows end their text, y[i] becomes
//   normalize   sum / sqrt(sum of the squares of the wanted sums, in the order of columns); 0 if that is 0
//   otherwise   sum / total for the mean, else sum
// rounded to float, and 0 in the other columns. If they do not, sums[i] becomes the sums, and y[i] is not written.
//
// None of it depends on how a text is cut into items. An item that is not valid ends the tile with
// KernelStatus::index_out_of_range.
struct PoolRowsParams {
  Pointer<const float> x;         // [rows][columns]
  Pointer<const PoolItem> items;  // [count]
  Pointer<double> sums;           // [count][columns], or null if every item is a whole text
  Pointer<float> y;               // [count][columns]
  int64_t rows;
  int64_t columns;  // 1 .. kPoolMaxColumns
  int64_t x_row;    // stride, in elements
  int64_t count;
  int64_t tiles;  // tile_count: tile t computes the items t, t + tiles, t + 2 · tiles, ...
};

// The sums of an item are kept in scratch.
constexpr int64_t kPoolMaxColumns = 65536;
static_assert(kPoolMaxColumns * sizeof(double) <= kScratchBytes, "the sums of an item fit into the scratch");

static inline bool is_valid(const PoolRowsParams& p, const PoolItem& item) {
  const int64_t end = int64_t{item.first_row} + item.rows;
  const int64_t text_end = int64_t{item.from} + item.rows;
  if (item.first_row < 0 || item.rows < 0 || end > p.rows || item.from < 0 || text_end > item.total) return false;
  const bool has_sums = p.sums || (item.from == 0 && text_end == item.total);
  return has_sums && item.pooling >= 0 && item.pooling <= 2 && item.dimensions >= 1 && item.dimensions <= p.columns &&
         (item.normalize == 0 || item.normalize == 1) && item.reserved == 0;
}

// Computes a tile. add(x, stride, rows, columns, sums) adds rows to sums, one after the other; divide(sums, columns,
// divisor, y) divides and rounds.
template <typename Add, typename Divide>
static inline KernelStatus pool_items(const PoolRowsParams& p, int64_t tile, Scratch& scratch, Add add, Divide divide) {
  double* sums = reinterpret_cast<double*>(scratch.data);
  for (int64_t index = tile; index < p.count; index += p.tiles) {
    // Copied before it is checked, so that nothing can change it between the check and its use.
    const PoolItem item = p.items[index];
    if (item.rows == 0) continue;
    if (!is_valid(p, item)) return KernelStatus::index_out_of_range;
    double* kept = p.sums ? p.sums + index * p.columns : nullptr;
    if (item.from > 0) std::copy(kept, kept + p.columns, sums);
    else std::fill(sums, sums + p.columns, 0.0);
    const auto pooling = static_cast<Pooling>(item.pooling);
    const bool ends = item.from + item.rows == item.total;
    int64_t begin = 0;
    int64_t end = item.rows;
    if (pooling == Pooling::first) end = item.from == 0 ? 1 : 0;
    if (pooling == Pooling::last) begin = ends ? end - 1 : end;
    add(p.x + (item.first_row + begin) * p.x_row, p.x_row, end - begin, p.columns, sums);
    if (!ends) {
      std::copy(sums, sums + p.columns, kept);
      continue;
    }
    double divisor = pooling == Pooling::mean ? item.total : 1;
    if (item.normalize) {
      double squares = 0;
      for (int64_t column = 0; column < item.dimensions; ++column) squares += sums[column] * sums[column];
      divisor = std::sqrt(squares);
    }
    float* y = p.y + index * p.columns;
    if (divisor == 0) std::fill(y, y + item.dimensions, 0.0f);
    else divide(sums, item.dimensions, divisor, y);
    std::fill(y + item.dimensions, y + p.columns, 0.0f);
  }
  return KernelStatus::ok;
}

KernelStatus pool_rows_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
