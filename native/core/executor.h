// The program executor: how workers find, claim and complete tiles. It depends on no particular kernel and not on
// Node.js. Called by the binding (workers and coordinator) and by the native tests. src/team/README.md describes the
// protocol: its states, memory orders, and the races that it prevents.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/control.h"

namespace tesserae {

// Why work() returned.
enum class WorkResult : int32_t {
  left = 0,       // nothing to do for the linger time, or the team closes: the shift is over
  ended = 1,      // a program ended: wake the coordinator, then call again
  yielded = 2,    // kYieldNs in native code: return to JavaScript, where the thread can be terminated, then call again
  abandoned = 3,  // a kernel left its tile unfinished: treat the worker as dead
};

// --- the coordinator's side (one thread) ---

// The control block must be zeroed memory of control_bytes(seats). scratch: (seats + 1) × kScratchBytes.
struct TeamOptions {
  uint32_t isa;
  uint32_t seats;
  uint32_t idle_spin_ns;
  uint64_t linger_ns;
  unsigned char* scratch;
};
void control_init(Control& control, const TeamOptions& options);

// What the calling thread does after publish: waits for the event loop, or computes on.
enum class CallerNext : uint32_t { rests = 0, works = 1 };

// Puts a program into a free slot (slot_is_free) and rings the bell. The program must not be in another slot. Wakes one
// sleeping worker for each tile that is claimable at once, at most `most_workers`; further workers join when they look
// for work by themselves, or when later ops ring for them.
void publish(Control& control, uint32_t slot, ProgramHeader& program, uint32_t most_workers = kMaxSeats,
             CallerNext next = CallerNext::rests);

bool slot_is_free(const Control& control, uint32_t slot);

// The state of the program that was published in the slot.
enum class RunState : int32_t {
  running = 0,
  finished = 1,  // every op is complete; late visitors may still be leaving
  drained = 2,   // cancelled or failed, and no visitor is left: outputs are undefined, no thread accesses the memory
};
RunState run_state(const Control& control, uint32_t slot, const ProgramHeader& program);

// Stops the claiming of tiles. The run becomes drained once the last visitor has left.
void cancel(Control& control, uint32_t slot);

// Takes the program out of the slot when it is finished or drained. Sets a drained program's counters to the values
// that a complete run would have left, so that it can run again.
void retire(Control& control, uint32_t slot, ProgramHeader& program);

// Cleans up after a worker that died: if it was inside a slot, removes it from the visitors and cancels the program
// there. Returns that slot, or -1.
int32_t bury(Control& control, uint32_t seat);

// Whether a caller on this CPU should wake the seat's worker before others. A caller that is about to rest prefers the worker pinned to its own
// CPU, which saves waking another CPU. A caller that goes on working prefers the others: that worker would have to
// wait.
bool comes_first(const Seat& seat, int32_t cpu, CallerNext next);

// Claims the seat for a new shift; false if a worker is already on shift there.
bool call_to_shift(Control& control, uint32_t seat);

// How many workers that are away a thread calls itself. It notifies each of them by a system call.
constexpr uint32_t kCallsEach = 2;

// Claims up to kCallsEach new shifts, as long as fewer than `most` seats are on shift, on seats that come first before
// others. Writes the numbers of the claimed seats into `seats`, returns how many they are, and leaves the rest to the called
// workers (call_another). The caller must notify the workers of these seats at once.
uint32_t call_to_shift(Control& control, uint8_t* seats, uint32_t most, CallerNext next);

// Makes all workers leave; they leave a running program between two tiles.
void close_team(Control& control);

// Works on a published program on the coordinator's thread, in parallel with the workers, until the program ends or
// `budget_ns` is over (the tile in hand is completed). For programs so short that waking a worker takes a large part of
// their time. Returns whether the program is finished.
bool assist(Control& control, uint32_t slot, const ProgramHeader& program, uint64_t budget_ns);

// Computes a whole program on the calling thread, synchronously. The program must not be published. Returns 0, or the
// failure as packed by pack_failure.
uint64_t run_inline(Control& control, ProgramHeader& program);

// --- the workers' side ---

// Called once by a worker's thread, before its first work() on the seat. If there are as many seats as CPUs that the
// thread may use, pins the thread to one of them: otherwise the system now and then wakes two workers on one CPU and
// leaves another idle.
void take_seat(Control& control, uint32_t seat);

// Called by a worker at the beginning of a shift that it was called to, kCallsEach times or until it returns -1: claims one
// more seat for a new shift, if the coordinator has left such calls to others. Returns the seat, whose worker the caller must
// notify at once, or -1.
int32_t call_another(Control& control, uint32_t seat);

// Computes tiles of all published programs until there is a reason to return to JavaScript: see WorkResult.
WorkResult work(Control& control, uint32_t seat);

}  // namespace tesserae
