// Tests of mul: the checks of element-wise kernels with two operands (binary_testing.h).
#include "kernels/mul.h"

#include "binary_testing.h"

namespace tesserae::testing {
namespace {

const BinaryOp kMul = {"mul", [](float a, float b) { return a * b; }};

TEST_CASE("mul: every broadcast, layout and tile size, to the bit") { check_broadcasts(kMul); }

TEST_CASE("mul: in place of either operand; NaN and infinities") { check_in_place(kMul, -INFINITY); }

}  // namespace
}  // namespace tesserae::testing
