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
  while (p.gate->load(std::memory_order_acquire) == 0) {
#ifdef __wasm__
    __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int32_t*>(p.gate.operator->()), 0, 20'000);
#else
    const timespec pause = {0, 20'000};
    nanosleep(&pause, nullptr);
#endif
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
