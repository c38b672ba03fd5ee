// The memory that the threads of a team share: the team's control block and the header of each program. Both are stored
// in SharedArrayBuffers. TypeScript accesses only the few words whose offsets describe_layout (binding/addon.cpp)
// exports. src/team/README.md describes the protocol: who writes what, in which order, and which races that prevents.
#pragma once

#include <cstdint>

#include "core/op.h"
#include "core/shared.h"

namespace tesserae {

constexpr uint32_t kSlots = 64;  // most programs in flight; each has one bit in Control::live
constexpr uint32_t kMaxOpcodes = 64;
constexpr uint32_t kMaxSeats = 256;

// The counters of one op. They grow over all runs and are never reset during a run: tile t of run r is claim number
// r * tile_count + t. So a worker that is late from run r can neither take nor count a tile of run r + 1.
struct alignas(kCacheLineBytes) OpCounters {
  Shared<uint64_t> claimed;
  alignas(kCacheLineBytes) Shared<uint64_t> done;
};
static_assert(sizeof(OpCounters) == 2 * kCacheLineBytes, "claims and completions on lines of their own");

// Which seat computed a tile, and when (steady clock): `begin` is taken after the claim, `end` before the tile is
// counted in `done`. So in a trace an op that waits for a tile begins no earlier than that tile ends, on every seat.
struct TileTrace {
  uint64_t begin_ns;
  uint64_t end_ns;
  uint64_t seat;
};

// A program in shared memory: this header, then op_count records, then op_count counters.
struct alignas(kCacheLineBytes) ProgramHeader {
  uint32_t op_count;
  uint32_t reserved;
  uint64_t run;  // number of the current or next run; used by the coordinator only, workers read Slot::run
  // Number of complete ops at the program's front, counted over all runs: run * op_count + complete ops of this run.
  Shared<uint64_t> prefix;
  // Address of an array with one TileTrace for each tile of the program; 0 without a trace. Written by the coordinator
  // between two runs. Not atomic: a worker reads it, and writes to the array, only between claiming a tile and counting
  // it in `done`; no run becomes finished or drained in that time.
  uint64_t trace;

  // The trace entry of a tile; called only by the worker that claimed the tile. Null without a trace.
  TileTrace* trace_of(const OpRecord& record, uint64_t tile) const {
    return trace == 0 ? nullptr : reinterpret_cast<TileTrace*>(trace) + record.first_tile + tile;
  }

  OpRecord* records() { return reinterpret_cast<OpRecord*>(this + 1); }
  OpCounters* counters() { return reinterpret_cast<OpCounters*>(records() + op_count); }
};
static_assert(sizeof(ProgramHeader) == kCacheLineBytes, "src/program relies on this size");

constexpr size_t program_bytes(uint32_t op_count) {
  return sizeof(ProgramHeader) + size_t{op_count} * (sizeof(OpRecord) + sizeof(OpCounters));
}

// status: a KernelStatus; op: its index in the program.
constexpr uint64_t pack_failure(uint32_t status, uint32_t op, uint32_t tile) {
  return (uint64_t{status} << 56) | (uint64_t{op & 0xffffff} << 32) | tile;
}

// Holds one running program. `program` is 0 in a closed slot. A worker increments `visitors` before it reads `program`,
// and a slot is reopened only when `visitors` is 0: so what a visitor reads here stays valid until it leaves. `visitors`
// has a line of its own: every worker writes it, while all read `cancelled` before each tile.
struct alignas(kCacheLineBytes) Slot {
  Shared<uint64_t> program;
  uint64_t run;  // written before `program` is set, read after it
  Shared<uint32_t> cancelled;  // 1: no further tile is claimed; stays 1 until the slot is opened again
  Shared<uint64_t> failure;    // 0, or the first failure of this run, packed by pack_failure
  alignas(kCacheLineBytes) Shared<uint32_t> visitors;
};

enum class SeatState : uint32_t { away = 0, on_shift = 1 };

// A worker's state in the team. `state` is written by the worker, and by the thread that calls it to a shift; `cpu` and
// `movable` also by another worker that moves this one (swap_cpus.h); all else by the worker alone. The first line changes
// rarely: the coordinator reads it of all seats in each publish.
struct alignas(kCacheLineBytes) Seat {
  Shared<uint32_t> state;
  Shared<int32_t> cpu;      // the CPU that the worker is pinned to (take_seat, swap_cpus.h); -1: not pinned
  Shared<int32_t> movable;  // `thread`: other workers may move it; kBeingMoved: one is moving it; 0: neither
  int32_t thread;           // the kernel's id of the worker's thread, written by take_seat
  uint64_t scratch;         // address of kScratchBytes bytes
  // slot + 1 while the worker is counted in that slot's `visitors`, else 0
  alignas(kCacheLineBytes) Shared<uint32_t> inside;
  uint32_t last_slot;
  uint32_t spin_ns;  // longest spin for a tile before sleeping; spin_for_tile doubles and halves it
  uint32_t idle_losses;  // consecutive spins for a program that ended without one
  uint32_t idle_waits;   // waits for a program while idle_losses was at its limit
  std::atomic<uint64_t> calls;  // workers that this one has called to a shift
  std::atomic<uint64_t> sleeps;
  std::atomic<uint64_t> spins_won;
  alignas(kCacheLineBytes) std::atomic<uint64_t> op_tiles[kMaxOpcodes];
  std::atomic<uint64_t> op_ns[kMaxOpcodes];
};

struct alignas(kCacheLineBytes) Control {
  uint32_t isa;
  uint32_t seat_count;  // number of workers; seat number seat_count is for programs run on the calling thread
  uint32_t idle_spin_ns;  // longest spin while no program is live; 0 if every core has a worker (spin_for_program)
  uint64_t linger_ns;     // how long a worker waits for the next program before its shift ends
  Shared<uint32_t> closing;  // read by every worker before each tile, like all of this line
  // Written by the coordinator in each publish: its CPU at that time, or -1.
  alignas(kCacheLineBytes) Shared<int32_t> coordinator_cpu;
  Shared<uint32_t> calls_owed;  // workers that those which are called are to call (call_another)
  uint32_t seat_here;           // the seat that was last found to be pinned to the coordinator's CPU; its hint alone
  Shared<uint64_t> swapped_ns;  // when two workers last exchanged CPUs (steady clock)
  // The eventcount that workers sleep on: incremented whenever something may have become claimable.
  alignas(kCacheLineBytes) Shared<uint32_t> bell;
  // On a line of its own: falling asleep and waking up must not disturb those that spin on the bell.
  alignas(kCacheLineBytes) Shared<uint32_t> sleepers;
  Shared<uint32_t> owed;  // sleepers that the workers that wake up are to wake (pass_on)
  // One bit for each slot; set while its program has work left.
  alignas(kCacheLineBytes) Shared<uint64_t> live;
  // Counts endings: a run finished, a failed or cancelled run drained, or a closed slot became free. The coordinator
  // waits on it with Atomics.waitAsync.
  alignas(kCacheLineBytes) Shared<uint32_t> endings;
  Slot slots[kSlots];

  Seat* seats() { return reinterpret_cast<Seat*>(this + 1); }
};

constexpr size_t control_bytes(uint32_t seat_count) { return sizeof(Control) + size_t{seat_count + 1} * sizeof(Seat); }

}  // namespace tesserae
