// rope: rotary position embedding. Rotates the pairs of each head vector by position · frequency. Called through the
// kernel table.
#pragma once

#include "core/op.h"
#include "kernels/rows.h"

namespace tesserae {

// Which two elements form pair i. The numbers are shared with src/ops/rowwise/rope.ts.
enum class RopeStyle : int64_t {
  interleaved = 0,  // 2i and 2i + 1
  half_split = 1,   // i and i + rotary_dim / 2
};

// How far heads are rotated.
struct Rotation {
  Pointer<const float> inverse_frequencies;  // [rotary_dim / 2], radians per position
  double magnitude;                          // multiplies sines and cosines; 1 for none
  int64_t style;                             // a RopeStyle
  int64_t rotary_dim;                        // even, <= dim, <= 65536; the elements from rotary_dim on are copied
};

// Pair (a, b) becomes (a cos - b sin, b cos + a sin); the angle is position · inverse_frequencies[i] in f64. The outer
// dimensions are [.., .., tokens, heads]. A tile is `tile_tokens` tokens (rows of the first three dimensions) with all
// their heads, so that sines are computed once per token. tile count = ceil(size[0] · size[1] · size[2] / tile_tokens).
struct RopeParams {
  Pointer<const float> x;
  Pointer<float> y;  // may be x
  Pointer<const int32_t> positions;
  Rotation rotation;
  int64_t dim;  // length of a head vector
  int64_t tile_tokens;
  OuterShape outer;
  OuterStrides x_outer;
  OuterStrides y_outer;
  OuterStrides positions_outer;  // the stride over heads is not used
};

KernelStatus rope_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
