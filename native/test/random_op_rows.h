// Random row-wise ops (random_op.h): norms, element-wise ops, lookups, copies and probes. Included by random_op_test.cpp.
#pragma once

#include <array>
#include <numeric>

#include "kernels/all.h"
#include "quantized_blocks.h"
#include "random_op.h"

namespace tesserae::testing {

// Where the rows of an operand lie: contiguous or with gaps, with the outer dimensions in any order.
struct RowPlaces {
  OuterStrides strides = {};
  int64_t elements = 0;  // from the first to the last
};

inline RowPlaces row_places(RandomOp& op, const OuterShape& outer, int64_t columns, bool may_repeat = false) {
  std::array<int, kOuterDims> order = {3, 2, 1, 0};
  for (int i = kOuterDims - 1; i > 0; --i) std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(op.integer(0, i))]);
  RowPlaces places;
  int64_t stride = columns + (op.flip() ? op.integer(1, 5) : 0);
  places.elements = columns;
  for (const int dim : order) {
    if (may_repeat && op.integer(0, 3) == 0) continue;
    places.strides.stride[dim] = stride;
    places.elements += (outer.size[dim] - 1) * stride;
    stride *= outer.size[dim];
  }
  return places;
}

inline OuterShape outer_shape(RandomOp& op) {
  return {{op.integer(1, 2), op.integer(1, 2), op.integer(1, 3), op.integer(1, 4)}};
}

struct RowInput {
  const float* data;
  OuterStrides strides;
};

inline RowInput read_rows(RandomOp& op, const OuterShape& outer, int64_t columns, float size = 4) {
  const RowPlaces places = row_places(op, outer, columns);
  return {op.floats(places.elements, size), places.strides};
}

template <typename T>
struct RowOutput {
  T* data;
  OuterStrides strides;
};

template <typename T = float>
RowOutput<T> write_rows(RandomOp& op, const OuterShape& outer, int64_t columns) {
  const RowPlaces places = row_places(op, outer, columns);
  T* data = op.output<T>(places.elements, Mark::never);
  for (int64_t r = 0; r < outer.rows(); ++r) op.mark(data + row_offset(outer, places.strides, r), columns, Mark::once);
  return {data, places.strides};
}

// Ids below `limit`, one for each row.
struct IdRows {
  const int32_t* data;
  OuterStrides strides;
};
inline IdRows read_ids(RandomOp& op, const OuterShape& outer, int64_t limit) {
  const RowPlaces places = row_places(op, outer, 1, true);
  const int32_t* ids = op.input<int32_t>(places.elements, [&] { return static_cast<int32_t>(op.integer(0, limit - 1)); });
  return {ids, places.strides};
}

// Elements of a type: f32, f16 or bf16, all finite.
inline const void* elements(RandomOp& op, DType dtype, int64_t count) {
  if (dtype == DType::f32) return op.floats(count);
  return op.input<uint16_t>(count, [&] {
    const float value = op.random.uniform();
    return dtype == DType::f16 ? float_to_half(value) : float_to_bfloat(value);
  });
}

inline DType float_type(RandomOp& op) {
  constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16};
  return kTypes[op.integer(0, 2)];
}

// Blocks of activations beside a result of so many rows, or null.
inline ActivationBlock* write_blocks(RandomOp& op, int64_t rows, int64_t columns) {
  if (columns % kActivationBlock != 0) return nullptr;
  return op.output<ActivationBlock>(rows * columns / kActivationBlock, Mark::once);
}
// A number of columns for which half of the ops can write blocks.
inline int64_t columns_for_blocks(RandomOp& op) { return op.flip() ? op.size(300) : op.integer(1, 6) * kActivationBlock; }

inline void make_scale(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = op.size(200), tile_rows = op.integer(1, 5);
  const auto x = read_rows(op, outer, columns);
  const auto y = write_rows(op, outer, columns);
  op.set("scale", ScaleParams{x.data, y.data, 0.3, columns, tile_rows, outer, x.strides, y.strides},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_softmax(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = op.size(300), tile_rows = op.integer(1, 5);
  const auto x = read_rows(op, outer, columns);
  const auto y = write_rows(op, outer, columns);
  op.set("softmax", SoftmaxParams{x.data, y.data, columns, tile_rows, outer, x.strides, y.strides},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_rms_norm(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = columns_for_blocks(op), tile_rows = op.integer(1, 5);
  const auto x = read_rows(op, outer, columns);
  const auto y = write_rows(op, outer, columns);
  const float* weight = op.flip() ? op.floats(columns) : nullptr;
  ActivationBlock* blocks = write_blocks(op, outer.rows(), columns);
  op.set("rms_norm", RmsNormParams{x.data, y.data, weight, 1e-5, columns, tile_rows, outer, x.strides, y.strides, blocks},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_layer_norm(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = op.size(300), tile_rows = op.integer(1, 5);
  const auto x = read_rows(op, outer, columns);
  const auto y = write_rows(op, outer, columns);
  const float* weight = op.flip() ? op.floats(columns) : nullptr;
  const float* bias = op.flip() ? op.floats(columns) : nullptr;
  op.set("layer_norm",
         LayerNormParams{x.data, y.data, weight, bias, 1e-5, columns, tile_rows, outer, x.strides, y.strides},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_rope(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t rotated = 2 * op.size(70), columns = rotated + (op.flip() ? op.integer(1, 20) : 0);
  const int64_t tile_tokens = op.integer(1, 4), tokens = outer.rows() / outer.size[3];
  const auto x = read_rows(op, outer, columns);
  const auto y = write_rows(op, outer, columns);
  OuterShape of_tokens = outer;
  of_tokens.size[3] = 1;
  const auto positions = read_ids(op, of_tokens, 5000);
  const float* frequencies = op.floats(rotated / 2);
  const Rotation rotation{frequencies, 1.1, op.integer(0, 1), rotated};
  op.set("rope",
         RopeParams{x.data, y.data, positions.data, rotation, columns, tile_tokens, outer, x.strides, y.strides,
                    positions.strides},
         tiles_of(tokens, tile_tokens));
}

inline void make_silu_mul(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = columns_for_blocks(op), tile_rows = op.integer(1, 5);
  const auto gate = read_rows(op, outer, columns), up = read_rows(op, outer, columns);
  const auto y = write_rows(op, outer, columns);
  ActivationBlock* blocks = write_blocks(op, outer.rows(), columns);
  op.set("silu_mul",
         SiluMulParams{gate.data, up.data, y.data, columns, tile_rows, outer, gate.strides, up.strides, y.strides, blocks},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_activation(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = op.size(200), tile_rows = op.integer(1, 5);
  const auto x = read_rows(op, outer, columns);
  const auto y = write_rows(op, outer, columns);
  const int64_t kind = op.integer(0, static_cast<int64_t>(Activation::exp));
  op.set("activation", ActivationParams{x.data, y.data, kind, columns, tile_rows, outer, x.strides, y.strides},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_binary(RandomOp& op, const char* name) {
  const OuterShape outer = outer_shape(op);
  BinaryParams p = {};
  p.columns = op.size(200), p.tile_rows = op.integer(1, 5);
  p.a_column_step = op.integer(0, 1), p.b_column_step = op.integer(0, 1);
  const RowPlaces a = row_places(op, outer, p.a_column_step ? p.columns : 1, true);
  const RowPlaces b = row_places(op, outer, p.b_column_step ? p.columns : 1, true);
  const auto y = write_rows(op, outer, p.columns);
  p.a = op.floats(a.elements), p.b = op.floats(b.elements), p.y = y.data;
  p.outer = outer, p.a_outer = a.strides, p.b_outer = b.strides, p.y_outer = y.strides;
  op.set(name, p, tiles_of(outer.rows(), p.tile_rows));
}
inline void make_add(RandomOp& op) { make_binary(op, "add"); }
inline void make_mul(RandomOp& op) { make_binary(op, "mul"); }

inline void make_embedding(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = op.size(200), tile_rows = op.integer(1, 5), table_rows = op.integer(1, 9);
  const int64_t stride = columns + op.integer(0, 3);
  const DType dtype = float_type(op);
  const void* table = elements(op, dtype, (table_rows - 1) * stride + columns);
  const auto ids = read_ids(op, outer, table_rows);
  const auto y = write_rows(op, outer, columns);
  op.set("embedding",
         EmbeddingParams{table, static_cast<int64_t>(dtype), table_rows, stride, ids.data, y.data, columns, tile_rows,
                         outer, ids.strides, y.strides},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_scatter(RandomOp& op) {
  // Each of several tables receives its rows at the same places.
  const OuterShape outer = {{1, op.integer(1, 3), 1, op.integer(1, 6)}};
  const int64_t columns = op.size(200), tile_rows = op.integer(1, 5), table_rows = outer.size[3] + op.integer(0, 3);
  const int64_t stride = columns + op.integer(0, 3), table = table_rows * stride;
  const auto x = read_rows(op, outer, columns);
  std::vector<int32_t> ids(static_cast<size_t>(table_rows));
  std::iota(ids.begin(), ids.end(), 0);
  for (size_t i = ids.size() - 1; i > 0; --i) std::swap(ids[i], ids[static_cast<size_t>(op.integer(0, static_cast<int64_t>(i)))]);
  ids.resize(static_cast<size_t>(outer.size[3]));
  ScatterParams p = {};
  p.x = x.data, p.x_outer = x.strides, p.ids = op.input(ids), p.ids_outer = {{0, 0, 0, 1}};
  const bool is_half = op.flip();
  const int64_t elements = (outer.size[1] - 1) * table + (table_rows - 1) * stride + columns;
  const auto mark_rows = [&](auto* data) {
    for (int64_t t = 0; t < outer.size[1]; ++t) {
      for (const int32_t id : ids) op.mark(data + t * table + id * stride, columns, Mark::once);
    }
    p.table = data;
  };
  if (is_half) mark_rows(op.output<uint16_t>(elements, Mark::never));
  else mark_rows(op.output<float>(elements, Mark::never));
  p.table_dtype = static_cast<int64_t>(is_half ? DType::f16 : DType::f32);
  p.table_rows = table_rows, p.table_row_stride = stride, p.columns = columns, p.tile_rows = tile_rows;
  p.outer = outer, p.table_outer = {{0, table, 0, 0}};
  op.set("scatter", p, tiles_of(outer.rows(), tile_rows));
}

inline void make_argmax(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = op.size(300), tile_rows = op.integer(1, 5);
  const auto x = read_rows(op, outer, columns);
  const auto y = write_rows<int32_t>(op, outer, 1);
  op.set("argmax", ArgmaxParams{x.data, y.data, columns, tile_rows, outer, x.strides, y.strides},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_cross_entropy(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = op.size(300), tile_rows = op.integer(1, 5);
  const auto x = read_rows(op, outer, columns);
  const auto targets = read_ids(op, outer, columns);
  const auto y = write_rows(op, outer, 1);
  op.set("cross_entropy",
         CrossEntropyParams{x.data, targets.data, y.data, columns, tile_rows, outer, x.strides, targets.strides, y.strides},
         tiles_of(outer.rows(), tile_rows));
}

// Strides of the dimensions of a copy, in any order and with gaps. Returns the elements from the first to the last.
inline int64_t copy_places(RandomOp& op, const int64_t (&size)[kCopyDims], int64_t (&stride)[kCopyDims]) {
  std::array<int, kCopyDims> order = {7, 6, 5, 4, 3, 2, 1, 0};
  if (op.flip()) std::swap(order[0], order[static_cast<size_t>(op.integer(0, 3))]);
  int64_t step = op.integer(0, 3) == 0 ? 2 : 1, elements = 1;
  for (const int dim : order) {
    stride[dim] = step;
    elements += (size[dim] - 1) * step;
    step = step * size[dim] + op.integer(0, 2);
  }
  return elements;
}

inline void make_copy(RandomOp& op) {
  CopyParams p = {};
  for (int dim = 0; dim < kCopyDims; ++dim) p.size[dim] = dim >= 6 ? op.size(35) : dim >= 4 ? op.integer(1, 2) : 1;
  int64_t rows = 1;
  for (int dim = 0; dim < kCopyDims - 1; ++dim) rows *= p.size[dim];
  p.tile_rows = (rows / op.integer(1, 6) / 8 + 1) * 8;
  const DType x_dtype = float_type(op), y_dtype = x_dtype == DType::f32 ? float_type(op) : op.flip() ? x_dtype : DType::f32;
  p.x_dtype = static_cast<int64_t>(x_dtype), p.y_dtype = static_cast<int64_t>(y_dtype);
  p.x = elements(op, x_dtype, copy_places(op, p.size, p.x_stride));
  const int64_t bytes = dtype_bytes(y_dtype), count = copy_places(op, p.size, p.y_stride);
  auto* y = y_dtype == DType::f32 ? reinterpret_cast<unsigned char*>(op.output<float>(count, Mark::never))
                                  : reinterpret_cast<unsigned char*>(op.output<uint16_t>(count, Mark::never));
  p.y = y;
  for (int64_t i = 0; i < rows * p.size[kCopyDims - 1]; ++i) {
    int64_t rest = i, at = 0;
    for (int dim = kCopyDims - 1; dim >= 0; --dim) {
      at += rest % p.size[dim] * p.y_stride[dim];
      rest /= p.size[dim];
    }
    op.mark(y + at * bytes, bytes, Mark::once);
  }
  op.set("copy", p, tiles_of(rows, p.tile_rows));
}

inline void make_pool_rows(RandomOp& op) {
  PoolRowsParams p = {};
  p.columns = op.size(200), p.count = op.integer(1, 6), p.tiles = op.integer(1, 3), p.x_row = p.columns + op.integer(0, 3);
  const bool has_sums = op.flip();
  p.y = op.output<float>(p.count * p.columns, Mark::never);
  p.sums = has_sums ? op.output<double>(p.count * p.columns, Mark::never) : nullptr;
  std::vector<PoolItem> items;
  for (int64_t i = 0; i < p.count; ++i) {
    PoolItem item = {};
    item.first_row = static_cast<int32_t>(p.rows), item.rows = static_cast<int32_t>(op.integer(0, 4));
    item.from = has_sums ? static_cast<int32_t>(op.integer(0, 2)) : 0;
    item.total = item.from + item.rows + (has_sums ? static_cast<int32_t>(op.integer(0, 1)) : 0);
    item.pooling = static_cast<int32_t>(op.integer(0, 2)), item.normalize = static_cast<int32_t>(op.integer(0, 1));
    item.dimensions = static_cast<int32_t>(op.integer(1, p.columns));
    p.rows += item.rows;
    const bool ends = item.from + item.rows == item.total;
    if (item.rows > 0 && ends) op.mark(p.y + i * p.columns, p.columns, Mark::once);
    // A sum that goes on from the output's bytes may keep some of them.
    if (item.rows > 0 && !ends) {
      op.mark(p.sums + i * p.columns, p.columns, item.from > 0 ? Mark::at_most_once : Mark::once);
    }
    items.push_back(item);
  }
  p.x = op.floats(std::max<int64_t>((p.rows - 1) * p.x_row + p.columns, 1));
  p.items = op.input(items);
  op.set("pool_rows", p, p.tiles);
}

inline void make_probe_fma(RandomOp& op) {
  const int64_t tiles = op.integer(1, 3);
  op.set("probe_fma", ProbeFmaParams{op.output<float>(tiles * kProbeLanes, Mark::once), 3, 0.5, 1}, tiles);
}

inline void make_probe_dot(RandomOp& op) {
  const int64_t tiles = op.integer(1, 3);
  op.set("probe_dot", ProbeDotParams{op.output<int32_t>(tiles * kProbeDotLanes, Mark::once), 4}, tiles);
}

inline void make_probe_read(RandomOp& op) {
  const int64_t tile_size = op.integer(1, 4) * kMostProbeStreams * kProbeLineFloats, size = op.integer(1, 900);
  const int64_t tiles = tiles_of(size, tile_size);
  const int64_t streams = int64_t{1} << op.integer(0, 3), ahead = op.integer(0, 1) * 1024;
  op.set("probe_read",
         ProbeReadParams{op.floats(size), op.output<float>(tiles, Mark::once), size, tile_size, streams, ahead}, tiles);
}

inline void make_checksum(RandomOp& op) {
  const int64_t size = op.integer(0, 9) == 0 ? kChecksumChunk + op.integer(1, 70) : op.size(300);
  const int64_t tiles = (size + kChecksumChunk - 1) / kChecksumChunk;
  const auto* x = op.input<unsigned char>(size, [&] { return static_cast<unsigned char>(op.random.bits()); });
  op.set("checksum", ChecksumParams{x, op.output<uint32_t>(2 * tiles, Mark::once), size}, tiles);
}

constexpr RandomOpMaker kRandomRowOps[] = {
    {"scale", make_scale},         {"softmax", make_softmax},       {"rms_norm", make_rms_norm},
    {"layer_norm", make_layer_norm}, {"rope", make_rope},           {"silu_mul", make_silu_mul},
    {"activation", make_activation}, {"add", make_add},             {"mul", make_mul},
    {"embedding", make_embedding}, {"scatter", make_scatter},       {"argmax", make_argmax},
    {"cross_entropy", make_cross_entropy}, {"copy", make_copy},     {"pool_rows", make_pool_rows},
    {"probe_fma", make_probe_fma}, {"probe_read", make_probe_read}, {"checksum", make_checksum},
    {"probe_dot", make_probe_dot},
};

}  // namespace tesserae::testing
