// checkpoint: computes nothing. Holds a tile until a word is set, or makes it fail, so that tests can arrange
// every order of events in a team instead of sleeping. Recorded only by test/support.
#pragma once

#include <atomic>

#include "core/op.h"

namespace tesserae {

enum class CheckpointMode : int64_t { wait = 0, fail = 1, abandon = 2 };

struct CheckpointParams {
  std::atomic<int32_t>* arrived;  // counts the tiles that got here
  std::atomic<int32_t>* gate;     // wait: the tile ends once this is not 0
  int64_t mode;
};

KernelStatus checkpoint_ref(const OpRecord& op, int64_t tile, Scratch& scratch);
KernelStatus checkpoint_avx2(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
