// probe_dot: products of bytes, added in fours, on registers only, by the instructions with which products of quantized weights
// are computed. It measures their peak, with which benchmarks compare those products; its result is of no use. Recorded by
// src/ops/probe-dot.ts.
#pragma once

#include "core/op.h"

namespace tesserae {

// As for probe_fma: independent chains of vectors of 16 lanes; narrower sets run several passes.
constexpr int kProbeDotChains = 12;
constexpr int kProbeDotLanes = kProbeDotChains * 16;

// The bytes of every factor: what four products of a code and a value add to a lane.
constexpr int8_t kProbeCode = 3;
constexpr int8_t kProbeValue = -2;
constexpr int32_t kProbeQuad = 4 * kProbeCode * kProbeValue;

struct ProbeDotParams {
  Pointer<int32_t> y;  // [tiles, kProbeDotLanes]: iterations · kProbeQuad
  int64_t iterations;  // even, at most 2^26, so that the sums fit; 4 · kProbeDotLanes multiplications and additions each
};

KernelStatus probe_dot_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
