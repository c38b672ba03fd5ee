// What the threads of a team share: the control block of the team and the head of each program. Lives in
// SharedArrayBuffer memory; the TypeScript side sees only the few words that layout.h's numbers name. The
// protocol (who writes what, in which order, and which races that prevents) is told in src/team/README.md.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/op.h"

namespace tesserae {

constexpr uint32_t kSlots = 64;  // programs in flight at most; one bit each in Control::live
constexpr uint32_t kMaxOpcodes = 64;
constexpr uint32_t kMaxSeats = 256;

// The counters of one op. They grow through all runs and are never set back while a run is on: tile t of run r
// is claim number r * tile_count + t. So a worker that is late from run r can neither take nor miscount a tile
// of run r + 1.
struct alignas(kCacheLineBytes) OpCounters {
  std::atomic<uint64_t> claimed;
  alignas(kCacheLineBytes) std::atomic<uint64_t> done;
};
static_assert(sizeof(OpCounters) == 2 * kCacheLineBytes, "claims and completions on lines of their own");

// Who computed a tile, and when: on the steady clock, from after the claim to before the completion is told. So what
// waits for a tile begins no earlier than that tile ends, on all seats.
struct TileTrace {
  uint64_t begin_ns;
  uint64_t end_ns;
  uint64_t seat;
};

// A program in shared memory: this head, then op_count records, then op_count counters.
struct alignas(kCacheLineBytes) ProgramHeader {
  uint32_t op_count;
  uint32_t reserved;
  uint64_t run;  // the number of the current or next run; the coordinator's alone, workers read Slot::run
  // How many ops from the front are complete, counted through all runs: run * op_count + ops of this run.
  std::atomic<uint64_t> prefix;
  // The address of one TileTrace for each tile of the program, or 0 when no trace is wanted. Written by the coordinator
  // between two runs. Not atomic: a worker reads it, and writes to the trace, only while it holds a tile that it claimed
  // and has not told complete, and no run ends, finished or drained, before such a tile does.
  uint64_t trace;

  // The entry of a tile; only for the holder of the tile. Null when no trace is wanted.
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

// A place for a running program. `program` is 0 in a closed slot. A worker counts itself into `visitors` before it
// reads `program`, and a slot is opened again only when it has no visitors: so what a visitor reads here stays valid
// until it leaves.
struct alignas(kCacheLineBytes) Slot {
  std::atomic<uint64_t> program;
  uint64_t run;  // written before `program` is set, read after it
  std::atomic<uint32_t> visitors;
  std::atomic<uint32_t> cancelled;  // no further tile is claimed; stays set until the slot is opened again
  std::atomic<uint64_t> failure;    // 0, or the first failure of this run: see pack_failure
};

enum class SeatState : uint32_t { away = 0, on_shift = 1 };

// A worker's place in the team, for one shift at a time. `state` is written by both sides (see call_to_shift), all
// else by the worker on the seat.
struct alignas(kCacheLineBytes) Seat {
  std::atomic<uint32_t> state;
  std::atomic<uint32_t> inside;  // slot + 1 while the worker is among that slot's visitors, else 0
  uint32_t last_slot;
  uint32_t spin_limit;  // how long to spin for a tile before sleeping, in pauses: grows when spinning pays, else shrinks
  uint32_t idle_losses;  // spins for a program that were in vain, in a row
  uint32_t idle_waits;   // waits for a program while it did not pay to spin
  uint64_t scratch;     // address of kScratchBytes
  std::atomic<int32_t> cpu;      // where the worker stays: see take_seat and swap_cpus.h; -1 when it is free
  std::atomic<int32_t> movable;  // `thread` while others may move it to another CPU, kBeingMoved while one does, else 0
  int32_t thread;                // the system's id of the worker's thread, once it has taken the seat
  std::atomic<uint64_t> sleeps;
  std::atomic<uint64_t> spins_won;
  alignas(kCacheLineBytes) std::atomic<uint64_t> op_tiles[kMaxOpcodes];
  std::atomic<uint64_t> op_ns[kMaxOpcodes];
};

struct alignas(kCacheLineBytes) Control {
  uint32_t isa;
  uint32_t seat_count;  // workers; one more seat stands behind them for programs run on the calling thread
  uint32_t idle_spins;  // pauses to spin with no program in the team; 0 where every core has a worker: see spin_for_program
  uint64_t linger_ns;   // how long a worker waits for the next program before its shift ends
  std::atomic<int32_t> coordinator_cpu;  // where it was when it last published, or -1
  std::atomic<uint32_t> closing;
  std::atomic<uint64_t> swapped_ns;  // when two workers last exchanged CPUs, on the steady clock
  // The eventcount that workers sleep on: bumped whenever something may have become claimable.
  alignas(kCacheLineBytes) std::atomic<uint32_t> bell;
  std::atomic<uint32_t> sleepers;
  // One bit for each slot that holds a program with work left.
  alignas(kCacheLineBytes) std::atomic<uint64_t> live;
  // Counts endings (finished, failed, cancelled and left); the coordinator waits on it with Atomics.waitAsync.
  alignas(kCacheLineBytes) std::atomic<uint32_t> endings;
  Slot slots[kSlots];

  Seat* seats() { return reinterpret_cast<Seat*>(this + 1); }
};

constexpr size_t control_bytes(uint32_t seat_count) { return sizeof(Control) + size_t{seat_count + 1} * sizeof(Seat); }

}  // namespace tesserae
