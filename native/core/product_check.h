// The checks of the parameters of products of floats, and what they share with those of other ops. Included by
// program_check.cpp only.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "core/attention_check.h"
#include "core/operand_check.h"
#include "kernels/matmul.h"
#include "kernels/pack_b.h"

namespace tesserae {
namespace {

bool is_float_type(int64_t dtype) {
  const auto type = static_cast<DType>(dtype);
  return type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

bool is_activation(int64_t kind) { return is_one_of(kind, 0, static_cast<int64_t>(Activation::exp)); }

int64_t rows_of(const OuterShape& outer) {
  return product({outer.size[0], outer.size[1], outer.size[2], outer.size[3]});
}

void check(const PackBParams& p, OperandCheck& check) {
  check.require(is_float_type(p.b_dtype) && is_size(p.k) && is_size(p.n) && p.k >= 1 && p.n >= 1,
                "has a matrix of an invalid type or size");
  check.require(is_one_of(p.kc, 8, 1 << 16) && p.kc % 8 == 0 && is_size(p.tile_panels) && p.tile_panels >= 1,
                "has invalid blocks");
  if (check.problem() != nullptr) return;
  check.tiles(panel_count(p.n), p.tile_panels, product({rows_of(p.batch), k_block_count(p.k, p.kc)}));
  const int64_t bytes = dtype_bytes(static_cast<DType>(p.b_dtype));
  check.reads(p.b, bytes, Extent().outer(p.batch, p.b_batch).dim(p.k, p.b_rs).dim(p.n, p.b_cs));
  check.writes(p.packed, bytes,
               Extent().outer(p.batch, p.packed_batch).dim(product({p.k, kNr, panel_count(p.n)}), 1));
}

// What a product does beside multiplying.
void check_around(const MatmulParams& p, OperandCheck& check) {
  check.require(is_one_of(p.norm.is_on, 0, 1), "has an invalid norm");
  if (p.norm.is_on == 0 && p.gated.packed_b == nullptr) return;
  check.require(static_cast<MatmulPath>(p.path) == MatmulPath::shared_pack && p.a_cs == 1 && rows_of(p.batch) == 1,
                "norms or gates what its path does not take");
  if (p.norm.is_on == 1) {
    check.require(product({std::min(p.tile_m, p.m), p.k}) <= normed_floats(p.blocks), "has too many rows to norm");
    check.may_read(p.norm.weight, 4, vector(p.k));
  }
  if (p.gated.packed_b == nullptr) return;
  check.require(p.bias == nullptr && p.residual == nullptr, "has a gated unit with a bias or a residual");
  check.reads(p.gated.packed_b, dtype_bytes(static_cast<DType>(p.b_dtype)), vector(product({p.k, kNr, panel_count(p.n)})));
  check.writes(p.gated.c, 4, Extent().dim(p.m, p.c_rs).dim(p.n, 1));
}

void check(const MatmulParams& p, OperandCheck& check) {
  const auto path = static_cast<MatmulPath>(p.path);
  check.require(is_one_of(p.path, 0, static_cast<int64_t>(MatmulPath::shared_pack)), "has an unknown path");
  check.require(is_size(p.m) && is_size(p.n) && is_size(p.k) && p.m >= 1 && p.n >= 1 && p.k >= 1, "has invalid sizes");
  check.require(path != MatmulPath::thin || p.m <= kThinMax || p.n <= kThinMax, "has too many rows for its path");
  check.require(is_float_type(p.b_dtype) && is_activation(p.activation) && block_sizes_valid(p.blocks),
                "has an unknown type or activation, or invalid blocks");
  check.require(is_one_of(p.bias_stride, 0, 1), "has an invalid bias");
  check.require(p.tile_m >= 1 && is_size(p.tile_m) && p.tile_n >= 1 && is_size(p.tile_n) && p.tile_batches >= 1 &&
                    is_size(p.tile_batches) && (p.tile_n % kNr == 0 || p.tile_n == p.n),
                "has tiles of an invalid size");
  if (check.problem() != nullptr) return;
  const int64_t blocks = product({(p.m + p.tile_m - 1) / p.tile_m, (p.n + p.tile_n - 1) / p.tile_n});
  check.tiles(rows_of(p.batch), p.tile_batches, blocks);
  check.reads(p.a, 4, Extent().outer(p.batch, p.a_batch).dim(p.m, p.a_rs).dim(p.k, p.a_cs));
  const int64_t bytes = dtype_bytes(static_cast<DType>(p.b_dtype));
  if (path == MatmulPath::shared_pack) {
    const int64_t image = product({p.k, kNr, panel_count(p.n)});
    check.reads(p.packed_b, bytes, Extent().outer(p.batch, p.packed_batch).dim(image, 1));
  } else {
    check.reads(p.b, bytes, Extent().outer(p.batch, p.b_batch).dim(p.k, p.b_rs).dim(p.n, p.b_cs));
  }
  check.writes(p.c, 4, Extent().outer(p.batch, p.c_batch).dim(p.m, p.c_rs).dim(p.n, 1));
  check.may_read(p.bias, 4, vector(p.n, p.bias_stride));
  check.may_read(p.residual, 4, Extent().outer(p.batch, p.residual_batch).dim(p.m, p.residual_rs).dim(p.n, 1));
  check_around(p, check);
}

}  // namespace
}  // namespace tesserae
