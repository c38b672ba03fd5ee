// Every kernel with random shapes, in every set: it accesses nothing outside of its operands, at either end, and its tiles
// write disjoint bytes, which together are the whole output. What the values are is tested for each kernel by itself.
#include <cstdlib>
#include <set>

#include "random_op_attention.h"
#include "random_op_products.h"

namespace tesserae::testing {
namespace {

// Of each kernel: TESSERAE_RANDOM_SHAPES, by default fewer where assertions are on, and with them sanitizers.
uint64_t shapes() {
  const char* given = std::getenv("TESSERAE_RANDOM_SHAPES");
  if (given != nullptr) return std::strtoull(given, nullptr, 10);
#ifdef NDEBUG
  return 60;
#else
  return 12;
#endif
}

const std::vector<RandomOpMaker>& makers() {
  static const std::vector<RandomOpMaker> all = [] {
    std::vector<RandomOpMaker> list(std::begin(kRandomRowOps), std::end(kRandomRowOps));
    list.insert(list.end(), std::begin(kRandomProducts), std::end(kRandomProducts));
    list.insert(list.end(), std::begin(kRandomAttention), std::end(kRandomAttention));
    return list;
  }();
  return all;
}

void check_all(Side side) {
  const uint64_t count = shapes();
  for (const RandomOpMaker& maker : makers()) {
    CAPTURE(std::string(maker.kernel));
    for (uint64_t seed = 0; seed < count; ++seed) {
      CAPTURE(seed);
      RandomOp op(side, seed);
      maker.make(op);
      for (const Isa isa : instruction_sets()) {
        CAPTURE(std::string(kernel_set(isa).isa));
        op.check(isa);
      }
    }
  }
}

TEST_CASE("random ops: each kernel that has operands is here") {
  std::set<std::string> made, kernels;
  for (const RandomOpMaker& maker : makers()) made.insert(maker.kernel);
  for (uint32_t opcode = 0; opcode < kernel_count(); ++opcode) kernels.insert(kernel_info(opcode).name);
  made.insert("checkpoint");
  CHECK(made == kernels);
}

TEST_CASE("random ops: nothing after an operand is accessed, and the tiles write each output once") { check_all(Side::end); }

TEST_CASE("random ops: nothing before an operand is accessed, and the tiles write each output once") {
  check_all(Side::begin);
}

}  // namespace
}  // namespace tesserae::testing
