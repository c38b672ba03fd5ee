// Checks a compiled program once, before its first run: opcodes, counts, and every range of memory that its tiles will
// access. After this check no tile reads or writes outside of the regions, whatever the tensors contain. Called by the
// binding when src/program/compiled-program.ts has written the records.
#pragma once

#include <cstddef>

#include "core/control.h"

namespace tesserae {

// Memory that the program may access: a storage, or the arena. Doubles, because they come from a Float64Array; every
// address of user space is an exact double.
struct Region {
  double begin;
  double size_bytes;
  double is_writable;  // 1 or 0
};
static_assert(sizeof(Region) == 24, "src/program/program-check.ts counts on it");

struct ProgramFault {
  uint32_t op;          // index of the op in the program
  const char* problem;  // null: the program has no fault
};

ProgramFault check_program(ProgramHeader& program, const Region* regions, size_t region_count);

}  // namespace tesserae
