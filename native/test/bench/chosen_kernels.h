// The kernel set that a bench measures: TESSERAE_ISA, or the best one of this CPU. Included by the benches.
#pragma once

#include <cstdlib>
#include <cstring>

#include "kernels/table.h"

namespace tesserae {

inline Isa chosen_isa() {
  const char* wanted = std::getenv("TESSERAE_ISA");
  Isa chosen = Isa::ref;
  for (const Isa isa : kAllIsas) {
    if (isa_supported(isa) && (!wanted || std::strcmp(wanted, kernel_set(isa).isa) == 0)) chosen = isa;
  }
  return chosen;
}

inline Kernel kernel_of(const char* name) {
  for (uint32_t opcode = 0; opcode < kernel_count(); ++opcode) {
    if (std::strcmp(kernel_info(opcode).name, name) == 0) return kernel_set(chosen_isa()).kernels[opcode];
  }
  std::abort();
}

}  // namespace tesserae
