// The kernel sets that this CPU can run, and their kernels by name. Included by all kernel tests.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "kernels/table.h"

namespace tesserae {

inline std::vector<Isa> instruction_sets() {
  std::vector<Isa> sets;
  for (const Isa isa : kAllIsas) {
    if (isa_supported(isa)) sets.push_back(isa);
  }
  return sets;
}

inline Kernel kernel_named(const char* name, Isa isa) {
  for (uint32_t opcode = 0; opcode < kernel_count(); ++opcode) {
    if (std::strcmp(kernel_info(opcode).name, name) == 0) return kernel_set(isa).kernels[opcode];
  }
  FAIL("no kernel is named " << name);
  return nullptr;
}

// The sets without the reference.
inline std::vector<Isa> vector_sets() {
  std::vector<Isa> sets = instruction_sets();
  sets.erase(sets.begin());
  return sets;
}

}  // namespace tesserae
