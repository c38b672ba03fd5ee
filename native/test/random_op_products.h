// Random products and their packing (random_op.h), in floats and with quantized weights. Included by random_op_test.cpp.
#pragma once

#include "random_op_rows.h"

namespace tesserae::testing {

// A matrix of floats: by rows, by columns, or with gaps in both directions.
struct MatrixPlaces {
  int64_t rs, cs, elements;
};
inline MatrixPlaces matrix_places(RandomOp& op, int64_t rows, int64_t columns, bool may_step = true) {
  const int64_t kind = op.integer(0, may_step ? 2 : 1), gap = op.integer(0, 3);
  const int64_t rs = kind == 0 ? columns + gap : kind == 1 ? 1 : 2 * columns + gap;
  const int64_t cs = kind == 0 ? 1 : kind == 1 ? rows + gap : 2;
  return {rs, cs, (rows - 1) * rs + (columns - 1) * cs + 1};
}

inline BlockSizes block_sizes(RandomOp& op) {
  return op.flip() ? kDefaultBlockSizes : BlockSizes{op.integer(1, 4) * 16, op.integer(1, 9) * kNr, op.integer(1, 3) * kMr};
}

inline int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

inline void make_pack_b(RandomOp& op) {
  PackBParams p = {};
  p.k = op.size(100), p.n = op.size(100), p.tile_panels = op.integer(1, 3), p.kc = op.integer(1, 6) * 8;
  const MatrixPlaces b = matrix_places(op, p.k, p.n);
  p.b_rs = b.rs, p.b_cs = b.cs;
  const int64_t batch = op.integer(1, 2), image = packed_image_elements(p.k, p.n);
  const DType dtype = float_type(op);
  p.b_dtype = static_cast<int64_t>(dtype);
  p.b = elements(op, dtype, b.elements * batch);
  if (dtype == DType::f32) p.packed = op.output<float>(image * batch, Mark::once, kCacheLineBytes);
  else p.packed = op.output<uint16_t>(image * batch, Mark::once, kCacheLineBytes);
  p.batch = {{1, 1, 1, batch}}, p.b_batch = {{0, 0, 0, b.elements}}, p.packed_batch = {{0, 0, 0, image}};
  op.set("pack_b", p, batch * k_block_count(p.k, p.kc) * ceil_div(panel_count(p.n), p.tile_panels));
}

// The images of B that the reference packs.
inline const void* packed_images(RandomOp& op, const MatmulParams& p, int64_t batch) {
  const int64_t image = packed_image_elements(p.k, p.n);
  void* packed = static_cast<DType>(p.b_dtype) == DType::f32
                     ? static_cast<void*>(op.input<float>(image * batch, [] { return NAN; }, kCacheLineBytes))
                     : op.input<uint16_t>(image * batch, [] { return uint16_t{0xffff}; }, kCacheLineBytes);
  PackBParams pack = {};
  pack.b = p.b, pack.packed = packed, pack.k = p.k, pack.n = p.n, pack.b_rs = p.b_rs, pack.b_cs = p.b_cs;
  pack.b_dtype = p.b_dtype, pack.tile_panels = panel_count(p.n), pack.kc = p.blocks.kc;
  pack.batch = p.batch, pack.b_batch = p.b_batch, pack.packed_batch = {{0, 0, 0, image}};
  REQUIRE(run_tiles(kernel_named("pack_b", Isa::ref), pack, batch * k_block_count(p.k, pack.kc)) == KernelStatus::ok);
  return packed;
}

// What a product of packed weights may do beside multiplying.
inline void make_around(RandomOp& op, MatmulParams& p) {
  if (op.flip() && p.m * p.k <= normed_floats(p.blocks)) {
    p.norm = {1, op.flip() ? op.floats(p.k) : nullptr, 1e-5};
  }
  if (!op.flip()) return;
  p.gated.packed_b = packed_images(op, p, 1);
  p.gated.c = op.output<float>((p.m - 1) * p.c_rs + p.n, Mark::never);
  for (int64_t i = 0; i < p.m; ++i) op.mark(p.gated.c + i * p.c_rs, p.n, Mark::once);
  p.bias = nullptr, p.residual = nullptr;
}

inline void make_matmul(RandomOp& op) {
  MatmulParams p = {};
  const auto path = static_cast<MatmulPath>(op.integer(0, 2));
  p.path = static_cast<int64_t>(path);
  p.m = op.size(80), p.n = op.size(110), p.k = op.size(140);
  if (path == MatmulPath::thin) (op.flip() ? p.m : p.n) = op.integer(1, kThinMax);
  p.blocks = block_sizes(op);
  const DType dtype = float_type(op);
  p.b_dtype = static_cast<int64_t>(dtype);
  // Without a unit stride the wide operand is read by few rows only (matmul.h).
  const bool may_step = path != MatmulPath::thin || std::min(p.m, p.n) <= kThinFew;
  const MatrixPlaces a = matrix_places(op, p.m, p.k, may_step), b = matrix_places(op, p.k, p.n, may_step);
  const int64_t batch = op.integer(1, 2), c_rs = p.n + op.integer(0, 3), c_elements = (p.m - 1) * c_rs + p.n;
  p.a = op.floats(a.elements * batch), p.a_rs = a.rs, p.a_cs = a.cs;
  p.b = elements(op, dtype, b.elements * batch), p.b_rs = b.rs, p.b_cs = b.cs;
  p.batch = {{1, 1, 1, batch}}, p.a_batch = {{0, 0, 0, a.elements}}, p.b_batch = {{0, 0, 0, b.elements}};
  if (op.flip()) p.bias_stride = op.integer(0, 1), p.bias = op.floats(p.bias_stride == 1 ? p.n : 1);
  p.activation = op.integer(0, static_cast<int64_t>(Activation::exp));
  p.c = op.output<float>(c_elements * batch, Mark::never), p.c_rs = c_rs, p.c_batch = {{0, 0, 0, c_elements}};
  for (int64_t i = 0; i < batch * p.m; ++i) {
    op.mark(p.c + i / p.m * c_elements + i % p.m * c_rs, p.n, Mark::once);
  }
  if (op.flip()) {
    p.residual_rs = p.n + op.integer(0, 3);
    const int64_t elements = (p.m - 1) * p.residual_rs + p.n;
    p.residual = op.floats(elements * batch), p.residual_batch = {{0, 0, 0, elements}};
  }
  if (path == MatmulPath::shared_pack) {
    const int64_t image = packed_image_elements(p.k, p.n);
    p.packed_b = packed_images(op, p, batch), p.packed_batch = {{0, 0, 0, image}};
    if (batch == 1 && p.a_cs == 1) make_around(op, p);
    p.b = nullptr;
  }
  p.tile_m = path == MatmulPath::thin && p.m <= p.n ? p.m : op.integer(1, p.m);
  p.tile_n = path == MatmulPath::thin && p.m > p.n ? p.n : std::min(op.integer(1, 4) * kNr, p.n);
  p.tile_batches = op.integer(1, batch);
  op.set("matmul", p, ceil_div(batch, p.tile_batches) * ceil_div(p.m, p.tile_m) * ceil_div(p.n, p.tile_n));
}

inline void make_quantize_rows(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const int64_t columns = op.integer(1, 8) * kActivationBlock, tile_rows = op.integer(1, 5);
  const auto x = read_rows(op, outer, columns);
  auto* y = op.output<ActivationBlock>(outer.rows() * columns / kActivationBlock, Mark::once);
  op.set("quantize_rows", QuantizeRowsParams{x.data, y, columns, tile_rows, outer, x.strides},
         tiles_of(outer.rows(), tile_rows));
}

inline QuantizedType quantized_type(RandomOp& op) {
  return quantized_types()[static_cast<size_t>(op.integer(0, static_cast<int64_t>(quantized_types().size()) - 1))];
}
inline int64_t whole_blocks(RandomOp& op, const QuantizedFormat& format) {
  return format.block_elements * op.integer(1, format.block_elements == 32 ? 9 : 3);
}

constexpr size_t kStripAlignment = 16;

inline void make_pack_quantized(RandomOp& op) {
  const QuantizedType type = quantized_type(op);
  const QuantizedFormat& format = quantized_format(type);
  const int64_t n = op.size(40), k = whole_blocks(op, format), tile_strips = op.integer(1, 3);
  const auto* blocks = op.input(random_blocks(type, n * (k / format.block_elements), op.random));
  auto* image = op.output<unsigned char>(strip_count(n) * strip_bytes(format, k), Mark::once, kStripAlignment);
  op.set("pack_quantized", PackQuantizedParams{blocks, image, static_cast<int64_t>(type), n, k, tile_strips},
         ceil_div(strip_count(n), tile_strips));
}

// The image of a random matrix, packed by the reference.
inline const unsigned char* packed_weights(RandomOp& op, QuantizedType type, int64_t n, int64_t k) {
  const QuantizedFormat& format = quantized_format(type);
  const std::vector<unsigned char> blocks = random_blocks(type, n * (k / format.block_elements), op.random);
  auto* image = op.input<unsigned char>(strip_count(n) * strip_bytes(format, k), [] { return 0; }, kStripAlignment);
  REQUIRE(run_tiles(kernel_named("pack_quantized", Isa::ref),
                    PackQuantizedParams{blocks.data(), image, static_cast<int64_t>(type), n, k, strip_count(n)}, 1) ==
          KernelStatus::ok);
  return image;
}

inline void make_embedding_quantized(RandomOp& op) {
  const OuterShape outer = outer_shape(op);
  const QuantizedType type = quantized_type(op);
  const int64_t columns = whole_blocks(op, quantized_format(type)), table_rows = op.integer(1, 20);
  const int64_t tile_rows = op.integer(1, 5);
  const auto* table = packed_weights(op, type, table_rows, columns);
  const auto ids = read_ids(op, outer, table_rows);
  const auto y = write_rows(op, outer, columns);
  op.set("embedding_quantized",
         EmbeddingQuantizedParams{table, static_cast<int64_t>(type), table_rows, ids.data, y.data, columns, tile_rows,
                                  outer, ids.strides, y.strides},
         tiles_of(outer.rows(), tile_rows));
}

inline void make_matmul_quantized(RandomOp& op) {
  MatmulQuantizedParams p = {};
  p.targets = op.integer(1, kMostTargets);
  p.m = op.size(40), p.tile_m = op.flip() ? p.m : op.integer(1, p.m);
  // k must be whole blocks of each target's type.
  p.k = (op.flip() ? 256 : 0) + (p.targets == 1 ? 0 : 256);
  QuantizedType type = quantized_type(op);
  if (p.k == 0) p.k = whole_blocks(op, quantized_format(type));
  const std::vector<float> x = [&] {
    std::vector<float> values(static_cast<size_t>(p.m * p.k));
    for (float& value : values) value = op.random.uniform();
    return values;
  }();
  auto* blocks = op.input<ActivationBlock>(p.m * p.k / kActivationBlock, [] { return ActivationBlock{}; });
  REQUIRE(run_tiles(kernel_named("quantize_rows", Isa::ref),
                    QuantizeRowsParams{x.data(), blocks, p.k, p.m, {{1, 1, 1, p.m}}, {{0, 0, 0, p.k}}}, 1) ==
          KernelStatus::ok);
  p.x = blocks;
  if (p.tile_m == p.m && op.flip()) {
    p.x = nullptr;
    p.unnormed.x_rs = p.k + op.integer(0, 3), p.unnormed.x = op.floats((p.m - 1) * p.unnormed.x_rs + p.k);
    p.unnormed.eps = 1e-5, p.unnormed.weight = op.flip() ? op.floats(p.k) : nullptr;
  }
  p.gated = p.targets == 2 ? op.integer(0, 1) : 0;
  int64_t tiles = 0;
  for (int64_t i = 0; i < p.targets; ++i) {
    QuantizedTarget& target = p.target[i];
    if (i > 0) type = quantized_type(op);
    target.type = static_cast<int64_t>(type), target.n = op.size(80), target.first_tile = tiles;
    if (p.gated && i == 1) target.n = p.target[0].n, target.first_tile = 0;
    target.image = packed_weights(op, type, target.n, p.k);
    target.tile_n = op.flip() ? target.n : std::min(op.integer(1, 3) * 16, target.n);
    target.c_rs = target.n + op.integer(0, 3);
    target.c = op.output<float>((p.m - 1) * target.c_rs + target.n, Mark::never);
    for (int64_t row = 0; row < p.m; ++row) op.mark(target.c + row * target.c_rs, target.n, Mark::once);
    if (op.flip()) target.bias_stride = op.integer(0, 1), target.bias = op.floats(target.bias_stride == 1 ? target.n : 1);
    target.activation = op.integer(0, static_cast<int64_t>(Activation::exp));
    if (op.flip()) {
      target.residual_rs = target.n + op.integer(0, 3);
      target.residual = op.floats((p.m - 1) * target.residual_rs + target.n);
    }
    if (p.gated && i == 1) target.tile_n = p.target[0].tile_n;
    else tiles += ceil_div(p.m, p.tile_m) * ceil_div(target.n, target.tile_n);
  }
  if (p.gated && p.target[0].n % kActivationBlock == 0 && p.target[0].tile_n % kActivationBlock == 0) {
    p.blocks = write_blocks(op, p.m, p.target[0].n);
  }
  op.set("matmul_quantized", p, tiles);
}

inline void make_quantize_blocks(RandomOp& op) {
  struct Written {
    FileType type;
    int64_t elements, bytes;
  };
  constexpr Written kWritten[] = {{FileType::f16, 1, 2},     {FileType::q4_0, 32, 18},   {FileType::q5_0, 32, 22},
                                  {FileType::q5_1, 32, 24},  {FileType::q8_0, 32, 34},   {FileType::q4_k, 256, 144},
                                  {FileType::q5_k, 256, 176}, {FileType::q6_k, 256, 210}};
  const Written& to = kWritten[op.integer(0, 7)];
  const int64_t blocks = op.size(40), tile_blocks = op.integer(5, 20);
  const DType from = float_type(op);
  const FileType x_type = from == DType::f32 ? FileType::f32 : from == DType::f16 ? FileType::f16 : FileType::bf16;
  const void* x = elements(op, from, blocks * to.elements);
  auto* y = op.output<unsigned char>(blocks * to.bytes, Mark::once);
  op.set("quantize_blocks",
         QuantizeBlocksParams{x, static_cast<int64_t>(x_type), y, static_cast<int64_t>(to.type), blocks, tile_blocks},
         ceil_div(blocks, tile_blocks));
}

constexpr RandomOpMaker kRandomProducts[] = {
    {"pack_b", make_pack_b},
    {"matmul", make_matmul},
    {"quantize_rows", make_quantize_rows},
    {"pack_quantized", make_pack_quantized},
    {"embedding_quantized", make_embedding_quantized},
    {"matmul_quantized", make_matmul_quantized},
    {"quantize_blocks", make_quantize_blocks},
};

}  // namespace tesserae::testing
