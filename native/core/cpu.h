// Which CPU a thread runs on, and keeping it on one. Linux only, like the package.
#pragma once

#include <sched.h>

#include <cstdint>

namespace tesserae {

// Keeps the calling thread on the index-th of the CPUs that it may use, if these are as many as `count`. Returns the CPU,
// or -1 where the thread stays free.
static inline int32_t pin_to_cpu(uint32_t index, uint32_t count) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return -1;
  if (static_cast<uint32_t>(CPU_COUNT(&allowed)) != count || index >= count) return -1;
  int32_t cpu = -1;
  for (uint32_t left = index + 1; left > 0; --left) {
    do ++cpu;
    while (!CPU_ISSET(cpu, &allowed));
  }
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  return sched_setaffinity(0, sizeof(one), &one) == 0 ? cpu : -1;
}

}  // namespace tesserae
