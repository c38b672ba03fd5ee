// checkpoint: a diagnostic op that computes nothing. It blocks a tile until a word is set, or makes the tile fail, so
// that tests can arrange any order of events in a team without sleeping. Recorded by tests only.
#pragma once

#include <atomic>

#include "core/op.h"

namespace tesserae {

enum class CheckpointMode : int64_t { wait = 0, fail = 1, abandon = 2 };

struct CheckpointParams {
  Pointer<std::atomic<int32_t>> arrived;  // counts the tiles that were begun
  Pointer<std::atomic<int32_t>> gate;     // wait: the tile ends when this is not 0
  int64_t mode;
};

KernelStatus checkpoint_ref(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
