// Tests of add: the checks of element-wise kernels with two operands (binary_testing.h).
#include "kernels/add.h"

#include "binary_testing.h"

namespace tesserae::testing {
namespace {

const BinaryOp kAdd = {"add", [](float a, float b) { return a + b; }};

TEST_CASE("add: every broadcast, layout and tile size, to the bit") { check_broadcasts(kAdd); }

TEST_CASE("add: in place of either operand; NaN and infinities") { check_in_place(kAdd, NAN); }

}  // namespace
}  // namespace tesserae::testing
