// The size of the L1 data cache, as the CPU itself says it, beside what the system says.
#include "kernels/caches.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>

using namespace tesserae;

namespace {

// In KiB; 0 where the system does not say.
int64_t l1_of_system() {
  for (int index = 0; index < 4; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    std::string level, kind, size;
    std::ifstream(folder + "level") >> level;
    std::ifstream(folder + "type") >> kind;
    std::ifstream(folder + "size") >> size;
    if (level == "1" && kind == "Data" && !size.empty() && size.back() == 'K') return std::stoll(size);
  }
  return 0;
}

}  // namespace

TEST_CASE("the L1 data cache has the size that the system reports, or is unknown") {
  const int64_t bytes = l1_data_bytes(), system = l1_of_system();
  if (bytes > 0 && system > 0) CHECK(bytes == system << 10);
  CHECK(bytes % 4096 == 0);
#ifdef __x86_64__
  if (system > 0) CHECK(bytes > 0);
#endif
}
