// Asks an x86 CPU for its caches: "deterministic cache parameters", in leaf 4 of CPUID from Intel, in leaf 0x8000001D from AMD
// (AMD64 Architecture Programmer's Manual, volume 3, appendix E).
#include "kernels/caches.h"

#include <atomic>

#if defined(__x86_64__) && __has_include(<cpuid.h>)
#include <cpuid.h>
#define TESSERAE_HAS_CPUID 1
#endif

namespace tesserae {
namespace {

#ifdef TESSERAE_HAS_CPUID
constexpr unsigned kDataCache = 1;

int64_t l1_data_bytes_of(unsigned leaf) {
  for (unsigned cache = 0; cache < 8; ++cache) {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(leaf, cache, &eax, &ebx, &ecx, &edx)) return 0;
    const unsigned kind = eax & 31, level = eax >> 5 & 7;
    if (kind == 0) return 0;
    if (kind != kDataCache || level != 1) continue;
    const int64_t ways = (ebx >> 22) + 1, partitions = (ebx >> 12 & 1023) + 1, line = (ebx & 4095) + 1;
    return ways * partitions * line * (int64_t{ecx} + 1);
  }
  return 0;
}

int64_t find_l1_data_bytes() {
  const int64_t bytes = l1_data_bytes_of(4);
  return bytes > 0 ? bytes : l1_data_bytes_of(0x8000001D);
}
#endif

}  // namespace

int64_t l1_data_bytes() {
#ifdef TESSERAE_HAS_CPUID
  // Threads that ask at once find the same.
  static std::atomic<int64_t> known{-1};
  int64_t bytes = known.load(std::memory_order_relaxed);
  if (bytes >= 0) return bytes;
  bytes = find_l1_data_bytes();
  known.store(bytes, std::memory_order_relaxed);
  return bytes;
#else
  return 0;
#endif
}

}  // namespace tesserae
