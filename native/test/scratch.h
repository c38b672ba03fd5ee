// The scratch memory in which tests run the tiles of matmul and attention.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/op.h"

namespace tesserae::test {

// Filled with NaNs at each call. A heap block of exactly the promised size, so that AddressSanitizer reports a step beyond
// it. All calls share one block: allocating it anew for each run took most of the time of some sanitized tests.
inline Scratch fresh_scratch() {
  static const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(kCacheLineBytes, kScratchBytes),
                                                                  &std::free);
  auto* bytes = static_cast<unsigned char*>(memory.get());
  std::memset(bytes, 0xff, kScratchBytes);
  return {bytes, kScratchBytes};
}

}  // namespace tesserae::test
