// The program executor. See executor.h, and src/team/README.md for the protocol as a whole.
#include "core/executor.h"

#include <algorithm>
#include <chrono>

#include "core/cpu.h"
#include "core/futex.h"
#include "core/spin.h"
#include "core/swap_cpus.h"
#include "kernels/table.h"

namespace tesserae {
namespace {

constexpr uint64_t kYieldNs = 20'000'000;  // longest time in native code while there is work, waits included
constexpr uint64_t kSliceNs = 1'000'000;   // longest time in one program while others have work

// How long a worker sleeps before it checks again whether a worker whose tile it waits for is off its CPU. A timer that
// expires before the system's next tick costs 5 to 10 µs on a virtual machine, so the short one is used only after an
// exchange of CPUs.
constexpr int64_t kNapNs = 4'000'000;
constexpr int64_t kDisturbedNapNs = 50'000;
constexpr uint64_t kDisturbedNs = 100'000'000;  // how long after an exchange kDisturbedNapNs is used

uint64_t now_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

// Whether the seat's worker is pinned to the CPU that the calling thread runs on.
bool is_here(const Seat& seat) { return seat.cpu.load(std::memory_order_relaxed) == sched_getcpu(); }

// The futex bit under which the seat's worker sleeps. With more than 32 seats several share a bit.
uint32_t sleeper_bit(uint32_t seat_index) { return uint32_t{1} << (seat_index % 32); }

// The futex bits of the sleepers to wake first (comes_first); all bits if no worker is pinned to this CPU.
uint32_t first_sleepers(Control& control, CallerNext next) {
  for (uint32_t seat = 0; seat < control.seat_count; ++seat) {
    if (!is_here(control.seats()[seat])) continue;
    return next == CallerNext::rests ? sleeper_bit(seat) : ~sleeper_bit(seat);
  }
  return kAnySleeper;
}

// Makes all awake workers look for work, and wakes up to `tiles` sleeping ones. The bell is incremented before
// `sleepers` is read, and a sleeper increments `sleepers` before the system compares the bell (all sequentially
// consistent): either this thread sees the sleeper, or its futex_wait sees the new bell and returns at once.
void ring(Control& control, uint64_t tiles, CallerNext next = CallerNext::works) {
  control.bell.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t sleepers = control.sleepers.load(std::memory_order_seq_cst);
  if (tiles == 0 || sleepers == 0) return;
  const auto wanted = static_cast<int32_t>(std::min<uint64_t>(tiles, sleepers));
  const uint32_t first = wanted < static_cast<int32_t>(sleepers) ? first_sleepers(control, next) : kAnySleeper;
  const int32_t woken = futex_wake(control.bell, wanted, first);
  if (woken < wanted && first != kAnySleeper) futex_wake(control.bell, wanted - woken, ~first);
}

// How many tiles became claimable when the number of complete ops rose from `before` to `complete`. `after` never falls
// along a program, so the ops that waited for it are consecutive. Stops counting at `enough`.
uint64_t opened_tiles(const OpRecord* records, uint32_t op_count, uint32_t before, uint32_t complete, uint64_t enough) {
  uint64_t tiles = 0;
  for (uint32_t op = complete; op < op_count && records[op].after <= complete && tiles < enough; ++op) {
    if (records[op].after > before || complete == 0) tiles += records[op].tile_count;
  }
  return tiles;
}

ProgramHeader* program_in(const Slot& slot, std::memory_order order) {
  return reinterpret_cast<ProgramHeader*>(slot.program.load(order));
}

// Whether the current run is finished. Called by the coordinator only: workers do not read program.run. A thread that
// sees the prefix at the end sees the outputs of all tiles.
bool at_end(const ProgramHeader& program) {
  return program.prefix.load(std::memory_order_seq_cst) >= (program.run + 1) * program.op_count;
}

// One worker's visit of one slot: enter, compute tiles, leave.
class Visit {
 public:
  Visit(Control& control, Seat& seat, uint32_t slot_index)
      : control_(control), seat_(seat), slot_(control.slots[slot_index]), slot_index_(slot_index) {}

  enum class Outcome { nothing, worked, ended, abandoned };

  // Enters, works until nothing is claimable or the time is up, leaves.
  Outcome make(uint64_t yield_at) {
    // `visitors` is incremented before `program` is read: while it is not 0 the coordinator neither frees the program's
    // memory nor opens the slot for another program.
    seat_.inside.store(slot_index_ + 1, std::memory_order_relaxed);
    slot_.visitors.fetch_add(1, std::memory_order_seq_cst);
    program_ = program_in(slot_, std::memory_order_seq_cst);
    bool worked = false;
    bool finished = false;
    if (program_ != nullptr) {
      run_ = slot_.run;
      first_tick_ = tick_ = now_ns();
      const Step last = work(yield_at, worked);
      if (last == Step::abandoned) return Outcome::abandoned;  // stays counted in `visitors`, like a dead worker
      finished = last == Step::finished;
    }
    const bool quiet = leave();
    if (finished || quiet) {
      control_.endings.fetch_add(1, std::memory_order_seq_cst);
      return Outcome::ended;
    }
    return worked ? Outcome::worked : Outcome::nothing;
  }

 private:
  enum class Step { blocked, finished, stopped, abandoned };

  Step work(uint64_t yield_at, bool& worked) {
    OpRecord* records = program_->records();
    OpCounters* counters = program_->counters();
    const uint32_t op_count = program_->op_count;
    const uint64_t base = run_ * op_count;
    const uint64_t slice_end = first_tick_ + kSliceNs;
    const uint64_t others = ~(uint64_t{1} << slot_index_);
    for (;;) {
      await_move(seat_);
      if (slot_.cancelled.load(std::memory_order_seq_cst) != 0) return Step::stopped;
      if (control_.closing.load(std::memory_order_relaxed) != 0) return Step::stopped;
      // Acquire: the worker that moved the prefix here saw the tiles before it complete; now this worker does too.
      const uint64_t prefix = program_->prefix.load(std::memory_order_acquire);
      if (prefix >= base + op_count) return Step::stopped;  // another worker finished the run
      const uint32_t complete = static_cast<uint32_t>(prefix - base);
      uint32_t op = complete;
      uint64_t tile = 0;
      while (op < op_count && records[op].after <= complete && !claim(records[op], counters[op], tile)) ++op;
      if (op == op_count || records[op].after > complete) return Step::blocked;
      worked = true;
      const KernelStatus status = run_tile(records[op], tile);
      if (status == KernelStatus::abandoned) return Step::abandoned;
      if (status != KernelStatus::ok) {
        fail(static_cast<uint32_t>(status), op, static_cast<uint32_t>(tile));
        return Step::stopped;
      }
      // Releases this tile's outputs to every thread that sees the new count. Sequentially consistent, because two
      // workers that complete neighbouring ops each look for the other's count in advance(): one of them must see
      // both.
      const uint64_t done = counters[op].done.fetch_add(1, std::memory_order_seq_cst) + 1;
      if (done == (run_ + 1) * records[op].tile_count && advance(counters, records, base)) return Step::finished;
      if (tick_ >= yield_at) return Step::stopped;
      if (tick_ >= slice_end && (control_.live.load(std::memory_order_relaxed) & others) != 0) return Step::stopped;
    }
  }

  // Claims one tile of this run, if one is left. A compare-exchange, not an increment: a worker that is late from an
  // earlier run must not use up a claim of this one.
  bool claim(const OpRecord& record, OpCounters& counters, uint64_t& tile) const {
    const uint64_t first = run_ * record.tile_count;
    const uint64_t end = first + record.tile_count;
    uint64_t next = counters.claimed.load(std::memory_order_relaxed);
    while (next < end) {
      // Acquire: pairs with the release in retire(), which sets the counters of a drained program.
      if (counters.claimed.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        tile = next - first;
        return true;
      }
    }
    return false;
  }

  KernelStatus run_tile(const OpRecord& record, uint64_t tile) {
    Scratch scratch = {reinterpret_cast<unsigned char*>(seat_.scratch), kScratchBytes};
    const Kernel kernel = kernel_set(static_cast<Isa>(control_.isa)).kernels[record.opcode];
    TileTrace* const trace = program_->trace_of(record, tile);
    // Without a trace one clock reading a tile is enough: the tile begins when the last one ended.
    const uint64_t begin = trace == nullptr ? tick_ : now_ns();
    const KernelStatus status = kernel(record, static_cast<int64_t>(tile), scratch);
    tick_ = now_ns();
    add(seat_.op_tiles[record.opcode], 1);
    add(seat_.op_ns[record.opcode], tick_ - begin);
    if (trace != nullptr) *trace = {begin, tick_, static_cast<uint64_t>(&seat_ - control_.seats())};
    return status;
  }

  // Moves the prefix over the ops that are complete. Returns true to the one worker that moves it to the program's end.
  bool advance(OpCounters* counters, const OpRecord* records, uint64_t base) {
    const uint32_t op_count = program_->op_count;
    uint64_t prefix = program_->prefix.load(std::memory_order_acquire);
    uint64_t from = prefix;  // where the first move of this worker began; others may have moved it in between
    uint64_t to = prefix;    // where its last move ended
    while (prefix < base + op_count) {
      const uint64_t op = prefix - base;
      if (counters[op].done.load(std::memory_order_seq_cst) < (run_ + 1) * records[op].tile_count) break;
      if (!program_->prefix.compare_exchange_strong(prefix, prefix + 1, std::memory_order_seq_cst)) continue;
      if (to == from) from = prefix;
      to = ++prefix;
    }
    if (to == from) return false;
    if (to == base + op_count) {
      control_.live.fetch_and(~(uint64_t{1} << slot_index_), std::memory_order_seq_cst);
      return true;
    }
    // This worker takes one of the tiles itself, since it looks again at once.
    const uint64_t tiles = opened_tiles(records, op_count, static_cast<uint32_t>(from - base),
                                        static_cast<uint32_t>(to - base), uint64_t{control_.seat_count} + 1);
    if (tiles > 1) ring(control_, tiles - 1);
    return false;
  }

  void fail(uint32_t status, uint32_t op, uint32_t tile) {
    uint64_t none = 0;
    slot_.failure.compare_exchange_strong(none, pack_failure(status, op, tile), std::memory_order_seq_cst);
    slot_.cancelled.store(1, std::memory_order_seq_cst);
    control_.live.fetch_and(~(uint64_t{1} << slot_index_), std::memory_order_seq_cst);
  }

  // Returns true if this was the last visitor of a program that is cancelled (now drained) or retired (slot and memory
  // now free): then the coordinator must be notified. The coordinator stores `cancelled` or `program` and then reads
  // `visitors`; this thread does it the other way round, so at least one of them sees both. After the decrement
  // program_ may be freed; only the slot is read.
  bool leave() {
    const bool last = slot_.visitors.fetch_sub(1, std::memory_order_seq_cst) == 1;
    seat_.inside.store(0, std::memory_order_relaxed);
    return last && (slot_.cancelled.load(std::memory_order_seq_cst) != 0 ||
                    program_in(slot_, std::memory_order_seq_cst) == nullptr);
  }

  Control& control_;
  Seat& seat_;
  Slot& slot_;
  uint32_t slot_index_;
  ProgramHeader* program_ = nullptr;
  uint64_t run_ = 0;
  uint64_t first_tick_ = 0;
  uint64_t tick_ = 0;
};

// Visits all slots whose programs have work, starting after the slot that this seat worked in last, so that a stream of
// new programs in the first slots cannot starve the others.
Visit::Outcome look_everywhere(Control& control, Seat& seat, uint64_t yield_at) {
  const uint64_t live = control.live.load(std::memory_order_seq_cst);
  if (live == 0) return Visit::Outcome::nothing;
  auto outcome = Visit::Outcome::nothing;
  const uint32_t start = seat.last_slot + 1;
  for (uint32_t step = 0; step < kSlots; ++step) {
    const uint32_t slot = (start + step) % kSlots;
    if ((live & (uint64_t{1} << slot)) == 0) continue;
    const Visit::Outcome visited = Visit(control, seat, slot).make(yield_at);
    switch (visited) {
      case Visit::Outcome::nothing:
        continue;
      case Visit::Outcome::worked:
        seat.last_slot = slot;
        outcome = Visit::Outcome::worked;
        if (now_ns() >= yield_at) return outcome;
        continue;
      case Visit::Outcome::ended:
      case Visit::Outcome::abandoned:
        seat.last_slot = slot;
        return visited;
    }
  }
  return outcome;
}

}  // namespace

void control_init(Control& control, const TeamOptions& options) {
  control.isa = options.isa;
  control.seat_count = options.seats;
  control.idle_spins = options.idle_spins;
  control.linger_ns = options.linger_ns;
  control.coordinator_cpu.store(-1, std::memory_order_relaxed);
  for (uint32_t i = 0; i <= options.seats; ++i) {
    Seat& seat = control.seats()[i];
    seat.last_slot = kSlots - 1;
    seat.cpu.store(-1, std::memory_order_relaxed);
    seat.spin_limit = kSpinLimitMax;
    seat.idle_losses = kIdleLosses;
    seat.scratch = reinterpret_cast<uint64_t>(options.scratch + size_t{i} * kScratchBytes);
  }
}

bool slot_is_free(const Control& control, uint32_t slot) {
  return control.slots[slot].program.load(std::memory_order_seq_cst) == 0 &&
         control.slots[slot].visitors.load(std::memory_order_seq_cst) == 0;
}

void publish(Control& control, uint32_t slot_index, ProgramHeader& program, uint32_t most_workers, CallerNext next) {
  Slot& slot = control.slots[slot_index];
  control.coordinator_cpu.store(sched_getcpu(), std::memory_order_relaxed);
  slot.run = program.run;
  slot.failure.store(0, std::memory_order_relaxed);
  slot.cancelled.store(0, std::memory_order_relaxed);
  // Publishes the run number, the records and the operands to the visitors.
  slot.program.store(reinterpret_cast<uint64_t>(&program), std::memory_order_seq_cst);
  // After the store of `program`, so that a worker that sees the bit finds the program. And before the caller reads the
  // seats' states; a worker that ends its shift stores its state before it reads `live`. Either it sees the bit, or the
  // caller sees that a new shift is needed.
  control.live.fetch_or(uint64_t{1} << slot_index, std::memory_order_seq_cst);
  // A worker may have entered the slot before the bit was set, and have finished or failed the run already. Then it
  // cleared the bit before this thread set it, and the prefix or `cancelled`, written before that, is visible here.
  if (slot.cancelled.load(std::memory_order_seq_cst) != 0 || at_end(program)) {
    control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
    return;
  }
  const uint64_t tiles = opened_tiles(program.records(), program.op_count, 0, 0, most_workers);
  ring(control, std::min<uint64_t>(tiles, most_workers), next);
}

RunState run_state(const Control& control, uint32_t slot_index, const ProgramHeader& program) {
  const Slot& slot = control.slots[slot_index];
  // Read before the prefix: when no visitor is left, the prefix cannot move any more. In the other order a run that its
  // last visitor finished in between could be reported as drained.
  const bool quiet =
      slot.cancelled.load(std::memory_order_seq_cst) != 0 && slot.visitors.load(std::memory_order_seq_cst) == 0;
  if (at_end(program)) return RunState::finished;
  return quiet ? RunState::drained : RunState::running;
}

void cancel(Control& control, uint32_t slot_index) {
  // The bit is cleared first. Otherwise a worker that sees the bit would enter the cancelled program, leave it as the
  // last visitor, report an ending, and enter again, for as long as this thread is descheduled between the two stores.
  control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
  control.slots[slot_index].cancelled.store(1, std::memory_order_seq_cst);
}

void retire(Control& control, uint32_t slot_index, ProgramHeader& program) {
  const bool finished = run_state(control, slot_index, program) == RunState::finished;
  control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
  // A worker that enters from here on finds no program. One that entered before is still counted in `visitors`, and
  // sees `cancelled` or the prefix at the run's end.
  control.slots[slot_index].program.store(0, std::memory_order_seq_cst);
  ++program.run;
  if (finished) return;
  OpCounters* counters = program.counters();
  for (uint32_t op = 0; op < program.op_count; ++op) {
    const uint64_t end = program.run * program.records()[op].tile_count;
    counters[op].claimed.store(end, std::memory_order_relaxed);
    counters[op].done.store(end, std::memory_order_relaxed);
  }
  program.prefix.store(program.run * program.op_count, std::memory_order_release);
}

int32_t bury(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  const uint32_t inside = seat.inside.exchange(0, std::memory_order_seq_cst);
  if (inside != 0) {
    cancel(control, inside - 1);
    control.slots[inside - 1].visitors.fetch_sub(1, std::memory_order_seq_cst);
  }
  seat.state.store(static_cast<uint32_t>(SeatState::away), std::memory_order_seq_cst);
  // The dead worker may have been about to take a tile for which no other worker was woken: wake all.
  ring(control, control.seat_count);
  return static_cast<int32_t>(inside) - 1;
}

bool call_to_shift(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  uint32_t away = static_cast<uint32_t>(SeatState::away);
  return seat.state.compare_exchange_strong(away, static_cast<uint32_t>(SeatState::on_shift), std::memory_order_seq_cst);
}

void close_team(Control& control) {
  control.closing.store(1, std::memory_order_seq_cst);
  ring(control, control.seat_count);
}

bool assist(Control& control, uint32_t slot_index, const ProgramHeader& program, uint64_t budget_ns) {
  const Slot& slot = control.slots[slot_index];
  Seat& seat = control.seats()[control.seat_count];
  const uint64_t end = now_ns() + budget_ns;
  const auto over = [&] { return at_end(program) || slot.cancelled.load(std::memory_order_seq_cst) != 0; };
  for (;;) {
    // As in work_on(): read before looking for tiles, so that nothing that becomes claimable afterwards is missed.
    const uint32_t bell = control.bell.load(std::memory_order_seq_cst);
    if (Visit(control, seat, slot_index).make(end) == Visit::Outcome::abandoned) bury(control, control.seat_count);
    // Workers hold the remaining tiles, which are as short as those computed here: spinning costs less than returning
    // to the event loop and being notified.
    while (control.bell.load(std::memory_order_acquire) == bell && !over() && now_ns() < end) pause_cpu();
    if (over()) return at_end(program);
    if (now_ns() >= end) break;
  }
  // A worker that stops returns to the tile that it opened without ringing for it (advance). This thread does not, so
  // it rings for all that is left.
  ring(control, control.seat_count);
  return false;
}

uint64_t run_inline(Control& control, ProgramHeader& program) {
  Seat& seat = control.seats()[control.seat_count];
  Scratch scratch = {reinterpret_cast<unsigned char*>(seat.scratch), kScratchBytes};
  const Kernel* kernels = kernel_set(static_cast<Isa>(control.isa)).kernels;
  uint64_t tick = now_ns();
  for (uint32_t op = 0; op < program.op_count; ++op) {
    const OpRecord& record = program.records()[op];
    for (uint32_t tile = 0; tile < record.tile_count; ++tile) {
      TileTrace* const trace = program.trace_of(record, tile);
      const uint64_t begin = trace == nullptr ? 0 : now_ns();
      const KernelStatus status = kernels[record.opcode](record, tile, scratch);
      if (trace != nullptr) *trace = {begin, now_ns(), control.seat_count};
      if (status != KernelStatus::ok) return pack_failure(static_cast<uint32_t>(status), op, tile);
    }
    const uint64_t before = tick;
    tick = now_ns();
    add(seat.op_tiles[record.opcode], record.tile_count);
    add(seat.op_ns[record.opcode], tick - before);
  }
  return 0;
}

void take_seat(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  seat.thread = thread_id();
  // Nothing to choose with one worker. If an earlier worker on this seat exchanged its CPU, keep the new one.
  int32_t cpu = control.seat_count > 1 ? cpu_at(0, seat_index, control.seat_count) : -1;
  const int32_t before = seat.cpu.load(std::memory_order_relaxed);
  if (cpu >= 0 && before >= 0) cpu = before;
  if (cpu >= 0 && !keep_on_cpu(0, cpu)) cpu = -1;
  seat.cpu.store(cpu, std::memory_order_relaxed);
}

bool comes_first(const Seat& seat, CallerNext next) { return is_here(seat) == (next == CallerNext::rests); }

namespace {

// Sleeps until the bell differs from `bell`, at most `ns`. May return early.
void sleep_on_bell(Control& control, uint32_t seat_index, uint32_t bell, int64_t ns) {
  control.sleepers.fetch_add(1, std::memory_order_seq_cst);
  futex_wait(control.bell, bell, ns, sleeper_bit(seat_index));
  control.sleepers.fetch_sub(1, std::memory_order_seq_cst);
}

// Like sleep_on_bell, but while a program is live it checks, at once and after each nap, whether a worker that holds a
// tile is off its CPU, and exchanges CPUs with it.
void sleep_beside_others(Control& control, uint32_t seat_index, uint32_t bell, int64_t ns) {
  while (ns > 0 && control.bell.load(std::memory_order_relaxed) == bell) {
    int64_t nap = ns;
    if (control.live.load(std::memory_order_relaxed) != 0) {
      const uint64_t now = now_ns();
      if (swap_cpus_with_held_up(control, seat_index, bell)) control.swapped_ns.store(now, std::memory_order_relaxed);
      const bool is_disturbed = control.swapped_ns.load(std::memory_order_relaxed) + kDisturbedNs > now;
      nap = std::min(ns, is_disturbed ? kDisturbedNapNs : kNapNs);
    }
    sleep_on_bell(control, seat_index, bell, nap);
    ns -= nap;
  }
}

WorkResult work_on(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  uint64_t yield_at = now_ns() + kYieldNs;
  uint64_t idle_since = 0;  // when the team ran out of work; 0 if it had work at the last look
  for (;;) {
    // Read before `closing` and before looking for work: closing the team, or making a tile claimable, after that
    // changes the bell to another value.
    const uint32_t bell = control.bell.load(std::memory_order_seq_cst);
    if (control.closing.load(std::memory_order_seq_cst) != 0) {
      seat.state.store(static_cast<uint32_t>(SeatState::away), std::memory_order_seq_cst);
      return WorkResult::left;
    }
    const Visit::Outcome outcome = look_everywhere(control, seat, yield_at);
    if (outcome == Visit::Outcome::ended) return WorkResult::ended;
    if (outcome == Visit::Outcome::abandoned) return WorkResult::abandoned;
    const bool look_again = outcome == Visit::Outcome::worked || spin(control, seat, bell);
    const uint64_t now = now_ns();
    const bool busy = control.live.load(std::memory_order_seq_cst) != 0;
    // Also while this worker only waits for tiles of others: JavaScript must be able to terminate its thread.
    if (busy && now >= yield_at) return WorkResult::yielded;
    if (busy || look_again) idle_since = 0;
    if (look_again) continue;
    if (!busy && idle_since == 0) idle_since = now;
    if (!busy && now - idle_since >= control.linger_ns) {
      seat.state.store(static_cast<uint32_t>(SeatState::away), std::memory_order_seq_cst);
      // The coordinator may have published a program between the look and this store, and seen this worker on shift.
      if (control.live.load(std::memory_order_seq_cst) != 0 && call_to_shift(control, seat_index)) continue;
      return WorkResult::left;
    }
    if (busy) sleep_beside_others(control, seat_index, bell, static_cast<int64_t>(yield_at - now));
    else sleep_on_bell(control, seat_index, bell, static_cast<int64_t>(control.linger_ns - (now - idle_since)));
    add(seat.sleeps, 1);
    if (busy) continue;
    yield_at = now_ns() + kYieldNs;
    if (control.bell.load(std::memory_order_relaxed) != bell) idle_since = 0;
  }
}

}  // namespace

WorkResult work(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  let_move(seat);
  const WorkResult result = work_on(control, seat_index);
  stay_put(seat);
  return result;
}

}  // namespace tesserae
