// The checks of each op's parameters; see program_check.h. A record mirrors its struct in kernels/<op>.h: what the
// comment there asks of sizes, types and tiles is what is checked here. A kernel without a check does not compile.
#include "core/program_check.h"

#include <initializer_list>

#include "kernels/all.h"
#include "core/attention_check.h"
#include "core/operand_check.h"
#include "core/product_check.h"
#include "kernels/table.h"

namespace tesserae {
namespace {

Extent row(int64_t columns, const OuterShape& outer, const OuterStrides& strides, int64_t step = 1) {
  return Extent().outer(outer, strides).dim(columns, step);
}

// Of all ops over rows.
void check_rows(OperandCheck& check, int64_t columns, int64_t tile_rows, const OuterShape& outer) {
  check.require(columns >= 1, "has rows without columns");
  check.tiles(rows_of(outer), tile_rows);
}

void check(const CheckpointParams& p, OperandCheck& check) {
  check.require(is_one_of(p.mode, 0, static_cast<int64_t>(CheckpointMode::abandon)), "has an unknown mode");
  check.writes(p.arrived, 4, vector(1));
  check.reads(p.gate, 4, vector(1));
}

void check(const ScaleParams& p, OperandCheck& check) {
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
}

void check(const SoftmaxParams& p, OperandCheck& check) {
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
}

void check(const RmsNormParams& p, OperandCheck& check) {
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
  check.may_read(p.weight, 4, vector(p.columns));
  check_blocks(check, p.blocks, p.columns, rows_of(p.outer));
}

void check(const LayerNormParams& p, OperandCheck& check) {
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
  check.may_read(p.weight, 4, vector(p.columns));
  check.may_read(p.bias, 4, vector(p.columns));
}

void check(const RopeParams& p, OperandCheck& check) {
  check_rotation(p.rotation, p.dim, check);
  check.require(p.outer.size[3] >= 1, "has tokens without heads");
  check.tiles(product({p.outer.size[0], p.outer.size[1], p.outer.size[2]}), p.tile_tokens);
  check.reads(p.x, 4, row(p.dim, p.outer, p.x_outer));
  check.writes(p.y, 4, row(p.dim, p.outer, p.y_outer));
  Extent positions;
  for (int i = 0; i < kOuterDims - 1; ++i) positions.dim(p.outer.size[i], p.positions_outer.stride[i]);
  check.reads(p.positions, 4, positions);
}

void check(const SiluMulParams& p, OperandCheck& check) {
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.gate, 4, row(p.columns, p.outer, p.gate_outer));
  check.reads(p.up, 4, row(p.columns, p.outer, p.up_outer));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
  check_blocks(check, p.blocks, p.columns, rows_of(p.outer));
}

void check(const ActivationParams& p, OperandCheck& check) {
  check.require(is_activation(p.kind), "has an unknown activation");
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
}

void check(const BinaryParams& p, OperandCheck& check) {
  check.require(is_one_of(p.a_column_step, 0, 1) && is_one_of(p.b_column_step, 0, 1), "has an invalid step");
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.a, 4, row(p.columns, p.outer, p.a_outer, p.a_column_step));
  check.reads(p.b, 4, row(p.columns, p.outer, p.b_outer, p.b_column_step));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
}

void check(const EmbeddingParams& p, OperandCheck& check) {
  check.require(is_float_type(p.table_dtype), "has a table of an unknown type");
  check_rows(check, p.columns, p.tile_rows, p.outer);
  if (check.problem() != nullptr) return;
  check.reads(p.table, dtype_bytes(static_cast<DType>(p.table_dtype)),
              Extent().dim(p.table_rows, p.table_row_stride).dim(p.columns, 1));
  check.reads(p.ids, 4, Extent().outer(p.outer, p.ids_outer));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
}

void check(const ScatterParams& p, OperandCheck& check) {
  const auto type = static_cast<DType>(p.table_dtype);
  check.require(type == DType::f32 || type == DType::f16, "has a table of an unknown type");
  check_rows(check, p.columns, p.tile_rows, p.outer);
  if (check.problem() != nullptr) return;
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.reads(p.ids, 4, Extent().outer(p.outer, p.ids_outer));
  check.writes_some(p.table, dtype_bytes(type),
                    row(p.columns, p.outer, p.table_outer).dim(p.table_rows, p.table_row_stride));
}

void check(const ArgmaxParams& p, OperandCheck& check) {
  check.require(p.columns < int64_t{1} << 31, "has rows that are too long");
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.writes(p.y, 4, Extent().outer(p.outer, p.y_outer));
}

void check(const CopyParams& p, OperandCheck& check) {
  const bool are_types = is_one_of(p.x_dtype, 0, static_cast<int64_t>(DType::bf16)) &&
                         is_one_of(p.y_dtype, 0, static_cast<int64_t>(DType::bf16));
  const auto from = static_cast<DType>(p.x_dtype);
  const auto to = static_cast<DType>(p.y_dtype);
  const auto is_16_bit = [](DType type) { return type == DType::f16 || type == DType::bf16; };
  const bool converts = from == to || (from == DType::f32 && is_16_bit(to)) || (is_16_bit(from) && to == DType::f32);
  check.require(are_types && converts, "has types that do not convert");
  check.require(p.size[kCopyDims - 1] >= 1, "has rows without columns");
  Extent x;
  Extent y;
  int64_t rows = 1;
  for (int i = 0; i < kCopyDims; ++i) {
    x.dim(p.size[i], p.x_stride[i]);
    y.dim(p.size[i], p.y_stride[i]);
    if (i < kCopyDims - 1) rows = product({rows, p.size[i]});
  }
  check.tiles(rows, p.tile_rows);
  if (check.problem() != nullptr) return;
  check.reads(p.x, dtype_bytes(from), x);
  check.writes(p.y, dtype_bytes(to), y);
}

void check(const CrossEntropyParams& p, OperandCheck& check) {
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.reads(p.targets, 4, Extent().outer(p.outer, p.targets_outer));
  check.writes(p.y, 4, Extent().outer(p.outer, p.y_outer));
}

void check(const ProbeDotParams& p, OperandCheck& check) {
  check.require(p.iterations >= 0 && p.iterations <= int64_t{1} << 26, "has an invalid number of iterations");
  check.writes(p.y, 4, vector(check.tile_count() * kProbeDotLanes));
}

void check(const ProbeFmaParams& p, OperandCheck& check) {
  check.require(p.iterations >= 0, "has an invalid number of iterations");
  check.writes(p.y, 4, vector(check.tile_count() * kProbeLanes));
}

void check(const ProbeReadParams& p, OperandCheck& check) {
  check.require(is_size(p.tile_size) && product({p.tile_size, check.tile_count()}) <= kMostSize,
                "has tiles of an invalid size");
  check.require(is_one_of(p.streams, 1, kMostProbeStreams) && (p.streams & (p.streams - 1)) == 0 && is_size(p.ahead),
                "has an invalid pattern");
  check.reads(p.x, 4, vector(p.size));
  check.writes(p.sums, 4, vector(check.tile_count()));
}

void check(const ChecksumParams& p, OperandCheck& check) {
  check.require(product({kChecksumChunk, check.tile_count()}) <= kMostSize, "has too many tiles");
  check.reads(p.x, 1, vector(p.size));
  check.writes(p.sums, 4, vector(2 * check.tile_count()));
}

void check(const PoolRowsParams& p, OperandCheck& check) {
  check.require(is_one_of(p.columns, 1, kPoolMaxColumns) && is_size(p.rows) && p.count >= 1 && p.tiles >= 1,
                "has invalid sizes");
  check.tiles(p.tiles, 1);
  check.reads(p.x, 4, Extent().dim(p.rows, p.x_row).dim(p.columns, 1));
  check.reads(p.items, sizeof(PoolItem), vector(p.count));
  if (p.sums != nullptr) check.writes(p.sums, 8, vector(product({p.count, p.columns})));
  check.writes(p.y, 4, vector(product({p.count, p.columns})));
}

void check(const QuantizeRowsParams& p, OperandCheck& check) {
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check.reads(p.x, 4, row(p.columns, p.outer, p.x_outer));
  check.require(p.y != nullptr, "has no output");
  check_blocks(check, p.y, p.columns, rows_of(p.outer));
}

bool is_quantized_type(int64_t type) { return is_one_of(type, 0, static_cast<int64_t>(QuantizedType::iq4_xs)); }

// A packed matrix [n, k].
void check_image(OperandCheck& check, Pointer<const unsigned char> image, int64_t type, int64_t n, int64_t k, bool is_output) {
  check.require(is_quantized_type(type) && is_size(n) && is_size(k), "has a matrix of an unknown type or size");
  if (check.problem() != nullptr) return;
  const QuantizedFormat& format = quantized_format(static_cast<QuantizedType>(type));
  check.require(k % format.block_elements == 0, "has rows that are not whole blocks");
  const Extent bytes =
      vector(product({strip_count(n), k / format.block_elements, strip_layout(format).unit_bytes}));
  if (is_output) check.writes(image, 1, bytes);
  else check.reads(image, 1, bytes);
}

void check(const PackQuantizedParams& p, OperandCheck& check) {
  check_image(check, p.image, p.type, p.n, p.k, true);
  check.tiles(strip_count(p.n), p.tile_strips);
  if (check.problem() != nullptr) return;
  const QuantizedFormat& format = quantized_format(static_cast<QuantizedType>(p.type));
  check.reads(p.blocks, 1, vector(product({p.n, p.k / format.block_elements, format.block_bytes})));
}

void check(const EmbeddingQuantizedParams& p, OperandCheck& check) {
  check_rows(check, p.columns, p.tile_rows, p.outer);
  check_image(check, p.table, p.type, p.table_rows, p.columns, false);
  check.reads(p.ids, 4, Extent().outer(p.outer, p.ids_outer));
  check.writes(p.y, 4, row(p.columns, p.outer, p.y_outer));
}

void check(const MatmulQuantizedParams& p, OperandCheck& check) {
  constexpr int64_t kMostTileRows = 256;  // the sums of a tile fit into scratch
  check.require(is_size(p.m) && is_size(p.k) && p.m >= 1 && p.k % kActivationBlock == 0, "has invalid sizes");
  check.require(is_one_of(p.tile_m, 1, kMostTileRows) && is_one_of(p.targets, 1, kMostTargets),
                "has tiles of an invalid size");
  if (check.problem() != nullptr) return;
  check.require(is_one_of(p.gated, 0, 1) && (p.gated == 0 || (p.targets == 2 && p.target[0].n == p.target[1].n)),
                "has gated targets that do not fit");
  if (p.unnormed.x != nullptr) {
    check.require(p.tile_m == p.m && product({p.m, p.k}) <= kMostNormed, "has too many rows to norm");
    check.reads(p.unnormed.x, 4, Extent().dim(p.m, p.unnormed.x_rs).dim(p.k, 1));
    check.may_read(p.unnormed.weight, 4, vector(p.k));
  } else {
    check.reads(p.x, sizeof(ActivationBlock), vector(product({p.m, p.k / kActivationBlock})));
  }
  int64_t tiles = 0;
  for (int64_t i = 0; i < p.targets; ++i) {
    const QuantizedTarget& t = p.target[i];
    check_image(check, t.image, t.type, t.n, p.k, false);
    check.require(t.n >= 1 && t.tile_n >= 1 && is_size(t.tile_n) && (t.tile_n % 16 == 0 || t.tile_n == t.n) &&
                      is_activation(t.activation) && is_one_of(t.bias_stride, 0, 1) && t.first_tile == (p.gated ? 0 : tiles),
                  "has an invalid target");
    if (check.problem() != nullptr) return;
    check.writes(t.c, 4, Extent().dim(p.m, t.c_rs).dim(t.n, 1));
    check.may_read(t.bias, 4, vector(t.n, t.bias_stride));
    check.may_read(t.residual, 4, Extent().dim(p.m, t.residual_rs).dim(t.n, 1));
    if (p.gated && i > 0) break;  // its tiles are those of the first
    tiles += product({(p.m + p.tile_m - 1) / p.tile_m, (t.n + t.tile_n - 1) / t.tile_n});
  }
  check.tiles(tiles, 1);
  check.require(p.blocks == nullptr || (p.gated && p.target[0].tile_n % kActivationBlock == 0),
                "has blocks that are not whole in its tiles");
  check_blocks(check, p.blocks, p.target[0].n, p.m);
}

struct FileBlock {
  FileType type;
  int64_t elements;
  int64_t bytes;
};

constexpr FileBlock kFileBlocks[] = {
    {FileType::f32, 1, 4},   {FileType::bf16, 1, 2},  {FileType::f16, 1, 2},    {FileType::q4_0, 32, 18},
    {FileType::q5_0, 32, 22}, {FileType::q5_1, 32, 24}, {FileType::q8_0, 32, 34}, {FileType::q4_k, 256, 144},
    {FileType::q5_k, 256, 176}, {FileType::q6_k, 256, 210},
};

// Of the types from `first` on; null if there is none.
const FileBlock* file_block(int64_t type, const FileBlock* first, const FileBlock* last) {
  for (const FileBlock* block = first; block != last; ++block) {
    if (static_cast<int64_t>(block->type) == type) return block;
  }
  return nullptr;
}

void check(const QuantizeBlocksParams& p, OperandCheck& check) {
  const FileBlock* end = kFileBlocks + sizeof(kFileBlocks) / sizeof(kFileBlocks[0]);
  const FileBlock* from = file_block(p.x_type, kFileBlocks, kFileBlocks + 3);
  const FileBlock* to = file_block(p.y_type, kFileBlocks + 2, end);
  check.require(from != nullptr && to != nullptr, "has an unknown type");
  check.tiles(p.blocks, p.tile_blocks);
  if (check.problem() != nullptr) return;
  check.reads(p.x, from->bytes, vector(product({p.blocks, to->elements})));
  check.writes(p.y, to->bytes, vector(p.blocks));
}

void check(const SampleParams& p, OperandCheck& check) {
  check.require(is_one_of(p.vocabulary, 1, INT32_MAX) && is_size(p.most_alternatives), "has invalid sizes");
  if (check.problem() != nullptr) return;
  const int64_t alternatives = product({p.most_alternatives, static_cast<int64_t>(sizeof(SampleAlternative))});
  const int64_t needed = static_cast<int64_t>(sizeof(SampleResult)) + alternatives;
  check.require(p.result_bytes >= needed && p.result_bytes % 8 == 0, "has no room for its results");
  check.reads(p.logits, 4, Extent().dim(check.tile_count(), p.row_stride).dim(p.vocabulary, 1));
  check.reads(p.rows, sizeof(SampleRow), vector(check.tile_count()));
  check.writes(p.results, 1, Extent().dim(check.tile_count(), p.result_bytes).dim(needed, 1));
}

using Check = void (*)(const OpRecord& record, OperandCheck& operands);

template <typename Params>
void check_record(const OpRecord& record, OperandCheck& operands) {
  check(record.as<Params>(), operands);
}

constexpr Check kChecks[] = {
#define KERNEL(name, Name) check_record<Name##Params>,
#include "kernels/table.def"
#undef KERNEL
};

static_assert(sizeof(kChecks) / sizeof(kChecks[0]) <= kMaxOpcodes, "a seat counts the tiles and the time of each op");

}  // namespace

ProgramFault check_program(ProgramHeader& program, const Region* regions, size_t region_count) {
  OperandCheck operands(regions, region_count);
  uint64_t tiles = 0;
  uint32_t after = 0;
  for (uint32_t op = 0; op < program.op_count; ++op) {
    const OpRecord& record = program.records()[op];
    operands.require(record.opcode < kernel_count(), "has an unknown opcode");
    operands.require(record.tile_count >= 1 && record.first_tile == tiles && tiles + record.tile_count <= UINT32_MAX,
                     "has an invalid number of tiles");
    // The executor counts on it: workers take ops in order and stop at the first that must wait.
    operands.require(record.after >= after && record.after <= op, "waits for an op that does not come before it");
    if (operands.problem() == nullptr) {
      operands.begin_op(record.tile_count);
      kChecks[record.opcode](record, operands);
    }
    if (operands.problem() != nullptr) return {op, operands.problem()};
    tiles += record.tile_count;
    after = record.after;
  }
  return {0, nullptr};
}

}  // namespace tesserae
