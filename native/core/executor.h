// The program executor: how workers find, claim and complete tiles. Knows no kernel by name and no JavaScript.
// Called by the binding (workers and coordinator) and by the native tests. The protocol with its states, memory
// orders and the races that it prevents is written out in src/team/README.md.
#pragma once

#include <cstdint>

#include "core/control.h"

namespace tesserae {

// Why a worker came back from work().
enum class WorkResult : int32_t {
  left = 0,       // nothing to do for the linger time: the shift is over
  ended = 1,      // a program ended: wake the coordinator, then call again
  yielded = 2,    // a long stretch of work: give the thread's JavaScript a chance to be terminated, then call again
  abandoned = 3,  // a kernel left its tile unfinished: the worker is to be treated as dead
};

// --- the coordinator's side (one thread) ---

// The control block must be zeroed memory of control_bytes(seats). scratch: (seats + 1) × kScratchBytes.
struct TeamOptions {
  uint32_t isa;
  uint32_t seats;
  uint32_t idle_spins;
  uint64_t linger_ns;
  unsigned char* scratch;
};
void control_init(Control& control, const TeamOptions& options);

// Opens a slot with a program that is in no other, and rings the bell. The slot must be free (slot_is_free).
// Wakes as many sleeping workers as there are tiles to begin with, but `most_workers` at most: the others come when they
// look around by themselves, or for what opens later. `next` is what the calling thread is about to do.
enum class CallerNext : uint32_t { rests = 0, works = 1 };
void publish(Control& control, uint32_t slot, ProgramHeader& program, uint32_t most_workers = kMaxSeats,
             CallerNext next = CallerNext::rests);

bool slot_is_free(const Control& control, uint32_t slot);

// The state of the program that was published in the slot.
enum class RunState : int32_t {
  running = 0,
  finished = 1,  // every op is complete; late visitors may still be leaving
  drained = 2,   // cancelled or failed, and no visitor is left: the outputs are undefined, the memory is quiet
};
RunState run_state(const Control& control, uint32_t slot, const ProgramHeader& program);

// Stops the claiming of tiles. The run ends as drained once the last visitor has left.
void cancel(Control& control, uint32_t slot);

// Takes the program out of the slot after finished or drained. A drained program's counters are set as if the run
// had been complete, so that it can run again.
void retire(Control& control, uint32_t slot, ProgramHeader& program);

// For a worker that died on its seat: takes it off the visitors of the slot that it was in. Returns the slot, whose
// program is thereby cancelled, or -1 when it was in none.
int32_t bury(Control& control, uint32_t seat);

// Whether the seat's worker is among those to wake first by a thread on this CPU. One that is about to rest leaves its CPU
// to the worker there, without waking another CPU; where it goes on, that worker would have to wait for it.
bool comes_first(const Seat& seat, CallerNext next);

// Claims the seat for a new shift; false when a worker is already on it.
bool call_to_shift(Control& control, uint32_t seat);

// Tells all workers to leave; a run in progress is left between two tiles.
void close_team(Control& control);

// Works on a published program from the coordinator's thread, side by side with the workers, until it is finished, or
// until `budget_ns` is over (and the tile in hand is done). For programs so short that a worker's waking takes a good part
// of them. Returns whether the program is finished.
bool assist(Control& control, uint32_t slot, const ProgramHeader& program, uint64_t budget_ns);

// Computes a whole program on the calling thread, at once. The program must not be published. Returns 0 or the failure
// as pack_failure packs it.
uint64_t run_inline(Control& control, ProgramHeader& program);

// --- the workers' side ---

// Once, before a thread works on a seat that it takes over. With as many seats as CPUs that the thread may use, it stays on
// one of them from here on: the system wakes two workers on one CPU otherwise, now and then, and leaves the other idle.
void take_seat(Control& control, uint32_t seat);

WorkResult work(Control& control, uint32_t seat);

}  // namespace tesserae
