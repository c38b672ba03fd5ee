// Which kernel sets the tests run with. TESSERAE_REQUIRE_ISAS names sets, separated by commas, that must be among them: a
// set that is not built, or that the CPU is not seen to have, would otherwise be skipped in silence.
#include <cstdlib>
#include <sstream>
#include <string>

#include "kernel_sets.h"

namespace tesserae {
namespace {

TEST_CASE("kernel sets: those of TESSERAE_REQUIRE_ISAS are run") {
  std::string run, skipped;
  for (const Isa isa : kAllIsas) (isa_supported(isa) ? run : skipped) += " " + std::string(kernel_set(isa).isa);
  MESSAGE("kernel sets:" << run << "; skipped:" << skipped);
  const char* given = std::getenv("TESSERAE_REQUIRE_ISAS");
  std::istringstream required(given == nullptr ? "" : given);
  for (std::string name; std::getline(required, name, ',');) {
    CAPTURE(name);
    CHECK((run + " ").find(" " + name + " ") != std::string::npos);
  }
}

}  // namespace
}  // namespace tesserae
