// mul: y = a · b, element by element, with broadcasting. Called through the kernel table.
#pragma once

#include "core/op.h"
#include "kernels/binary.h"

namespace tesserae {

using MulParams = BinaryParams;

KernelStatus mul_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
