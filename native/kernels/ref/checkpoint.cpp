// checkpoint: the implementation that all kernel sets share.
#include "kernels/checkpoint.h"

#include <ctime>

namespace tesserae {

KernelStatus checkpoint_ref(const OpRecord& op, int64_t, Scratch&) {
  const auto& p = op.as<CheckpointParams>();
  p.arrived->fetch_add(1, std::memory_order_seq_cst);
  switch (static_cast<CheckpointMode>(p.mode)) {
    case CheckpointMode::fail:
      return KernelStatus::checkpoint_failed;
    case CheckpointMode::abandon:
      return KernelStatus::abandoned;
    case CheckpointMode::wait:
      break;
  }
  const timespec pause = {0, 20000};
  while (p.gate->load(std::memory_order_acquire) == 0) nanosleep(&pause, nullptr);
  return KernelStatus::ok;
}

}  // namespace tesserae
