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

constexpr uint64_t kYieldNs = 20'000'000;  // the longest stay in native code while there is work, waits included
constexpr uint64_t kSliceNs = 1'000'000;   // the longest stay in one program while others have work

// How long a worker sleeps before it looks again after the tiles that it waits for. A timer that is due before the system's
// next tick costs a virtual machine 5 to 10 µs: there is none where nobody takes the CPUs away.
constexpr int64_t kNapNs = 4'000'000;
constexpr int64_t kDisturbedNapNs = 50'000;
constexpr uint64_t kDisturbedNs = 100'000'000;  // so long after an exchange of CPUs

uint64_t now_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

// Whether the seat's worker stays on the CPU that the calling thread is on at the moment.
bool is_here(const Seat& seat) { return seat.cpu.load(std::memory_order_relaxed) == sched_getcpu(); }

// What a worker sleeps under: from 32 seats on several share a bit.
uint32_t sleeper_bit(uint32_t seat_index) { return uint32_t{1} << (seat_index % 32); }

// The sleepers to wake first, as bits: all of them where no worker stays on this CPU.
uint32_t first_sleepers(Control& control, CallerNext next) {
  for (uint32_t seat = 0; seat < control.seat_count; ++seat) {
    if (!is_here(control.seats()[seat])) continue;
    return next == CallerNext::rests ? sleeper_bit(seat) : ~sleeper_bit(seat);
  }
  return kAnySleeper;
}

// Makes `tiles` workers look around: those that are awake, and sleepers for the rest. The bump comes before the look at
// the sleepers, and a sleeper counts itself before the kernel compares the bell (both sequentially consistent): either
// we see the sleeper, or its futex_wait sees the new bell and returns at once.
void ring(Control& control, uint64_t tiles, CallerNext next = CallerNext::works) {
  control.bell.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t sleepers = control.sleepers.load(std::memory_order_seq_cst);
  if (tiles == 0 || sleepers == 0) return;
  const auto wanted = static_cast<int32_t>(std::min<uint64_t>(tiles, sleepers));
  const uint32_t first = wanted < static_cast<int32_t>(sleepers) ? first_sleepers(control, next) : kAnySleeper;
  const int32_t woken = futex_wake(control.bell, wanted, first);
  if (woken < wanted && first != kAnySleeper) futex_wake(control.bell, wanted - woken, ~first);
}

// How many tiles became claimable when the number of complete ops grew from `before` to `complete`: those of the ops
// that waited for it. `after` grows along the program, so they stand in one stretch. Counts no further than to `enough`.
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

// Whether the current run is finished; the coordinator's question. The outputs of all tiles are visible to whoever sees
// the prefix at the end.
bool at_end(const ProgramHeader& program) {
  return program.prefix.load(std::memory_order_seq_cst) >= (program.run + 1) * program.op_count;
}

// One worker's stay in one program.
class Visit {
 public:
  Visit(Control& control, Seat& seat, uint32_t slot_index)
      : control_(control), seat_(seat), slot_(control.slots[slot_index]), slot_index_(slot_index) {}

  enum class Outcome { nothing, worked, ended, abandoned };

  // Enters, works until nothing is claimable or the time is up, leaves.
  Outcome make(uint64_t yield_at) {
    // Counted in before the program is read: while visitors is not 0 the coordinator neither frees the program's
    // memory nor opens the slot for another.
    seat_.inside.store(slot_index_ + 1, std::memory_order_relaxed);
    slot_.visitors.fetch_add(1, std::memory_order_seq_cst);
    program_ = program_in(slot_, std::memory_order_seq_cst);
    bool worked = false;
    bool finished = false;
    if (program_ != nullptr) {
      run_ = slot_.run;
      first_tick_ = tick_ = now_ns();
      const Step last = work(yield_at, worked);
      if (last == Step::abandoned) return Outcome::abandoned;  // stays counted in, as a dead worker would
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
      // Acquire: whoever moved the prefix here had seen the tiles behind it complete, and so do we now.
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
      // Release our tile's outputs to whoever sees this count. Sequentially consistent, because two workers that
      // complete neighbouring ops each look for the other's count in advance(): one of them must see both.
      const uint64_t done = counters[op].done.fetch_add(1, std::memory_order_seq_cst) + 1;
      if (done == (run_ + 1) * records[op].tile_count && advance(counters, records, base)) return Step::finished;
      if (tick_ >= yield_at) return Step::stopped;
      if (tick_ >= slice_end && (control_.live.load(std::memory_order_relaxed) & others) != 0) return Step::stopped;
    }
  }

  // Takes one tile of this run, if one is left. A compare-exchange, never a blind increment: a worker that is late
  // from an earlier run must not use up a claim of this one.
  bool claim(const OpRecord& record, OpCounters& counters, uint64_t& tile) const {
    const uint64_t first = run_ * record.tile_count;
    const uint64_t end = first + record.tile_count;
    uint64_t next = counters.claimed.load(std::memory_order_relaxed);
    while (next < end) {
      // Acquire pairs with the coordinator's release when it set the counters of a drained program.
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
    // Without a trace one look at the clock is enough: the tile begins where the last one ended.
    const uint64_t begin = trace == nullptr ? tick_ : now_ns();
    const KernelStatus status = kernel(record, static_cast<int64_t>(tile), scratch);
    tick_ = now_ns();
    add(seat_.op_tiles[record.opcode], 1);
    add(seat_.op_ns[record.opcode], tick_ - begin);
    if (trace != nullptr) *trace = {begin, tick_, static_cast<uint64_t>(&seat_ - control_.seats())};
    return status;
  }

  // Moves the prefix over the ops that are complete. True for the one worker that moves it to the program's end.
  bool advance(OpCounters* counters, const OpRecord* records, uint64_t base) {
    const uint32_t op_count = program_->op_count;
    uint64_t prefix = program_->prefix.load(std::memory_order_acquire);
    uint64_t from = prefix;  // the first move of this worker began here; others may have made some in between
    uint64_t to = prefix;    // and its last one ended here
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
    // One of the tiles is for this worker, which looks again at once.
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

  // True when this was the last visitor of a program that is cancelled (drained now) or retired (its slot and memory
  // free now): then the coordinator must hear of it. It stores `cancelled` or `program` before it reads `visitors`, we
  // the other way round: at least one of the two sees both. From the decrement on program_ may be gone; only the slot
  // is looked at.
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

// One round over all programs with work, beginning behind the one that this seat was in last, so that a stream of
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
  // Publishes the run, the records and the operands to the visitors.
  slot.program.store(reinterpret_cast<uint64_t>(&program), std::memory_order_seq_cst);
  // After the program, so that who follows the bit finds one. And before the caller looks at the seats' states; a worker
  // that ends its shift stores its state before it looks at `live`. Either it sees the bit, or the caller sees that a new
  // shift is needed.
  control.live.fetch_or(uint64_t{1} << slot_index, std::memory_order_seq_cst);
  // A worker on its round may have been in the slot already, and have finished or failed the run: then it took the bit
  // away before we set it, and its mark of the end, made before that, is visible here.
  if (slot.cancelled.load(std::memory_order_seq_cst) != 0 || at_end(program)) {
    control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
    return;
  }
  const uint64_t tiles = opened_tiles(program.records(), program.op_count, 0, 0, most_workers);
  ring(control, std::min<uint64_t>(tiles, most_workers), next);
}

RunState run_state(const Control& control, uint32_t slot_index, const ProgramHeader& program) {
  const Slot& slot = control.slots[slot_index];
  // Before the prefix: with no visitor left that could move it, a prefix that stands short of the end stays there. The
  // other order could call a run drained that its last visitor finished in between.
  const bool quiet =
      slot.cancelled.load(std::memory_order_seq_cst) != 0 && slot.visitors.load(std::memory_order_seq_cst) == 0;
  if (at_end(program)) return RunState::finished;
  return quiet ? RunState::drained : RunState::running;
}

void cancel(Control& control, uint32_t slot_index) {
  // The bit first: a worker that still followed it into the cancelled program would leave it as the last visitor, report
  // an ending, and come back for the next look, for as long as this thread is held up between the two.
  control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
  control.slots[slot_index].cancelled.store(1, std::memory_order_seq_cst);
}

void retire(Control& control, uint32_t slot_index, ProgramHeader& program) {
  const bool finished = run_state(control, slot_index, program) == RunState::finished;
  control.live.fetch_and(~(uint64_t{1} << slot_index), std::memory_order_seq_cst);
  // From here on whoever enters finds nothing. Who entered before is still counted and looks at `cancelled` or at a
  // prefix that is at the run's end.
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
  // The tile that it would have taken next, while the others sleep, is theirs now.
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
    // As in work(): read before the look, so that nothing that becomes claimable after it is missed.
    const uint32_t bell = control.bell.load(std::memory_order_seq_cst);
    if (Visit(control, seat, slot_index).make(end) == Visit::Outcome::abandoned) bury(control, control.seat_count);
    // What is left is in other hands. Their last tiles are as short as ours were: waiting here costs less than
    // being told by way of the event loop.
    while (control.bell.load(std::memory_order_acquire) == bell && !over() && now_ns() < end) pause_cpu();
    if (over()) return at_end(program);
    if (now_ns() >= end) break;
  }
  // A worker that stops comes back to the tile that it opened and rang nobody for; this thread does not.
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
  // With one CPU there is nothing to choose. The worker before may have exchanged its CPU for another's.
  int32_t cpu = control.seat_count > 1 ? cpu_at(0, seat_index, control.seat_count) : -1;
  const int32_t before = seat.cpu.load(std::memory_order_relaxed);
  if (cpu >= 0 && before >= 0) cpu = before;
  if (cpu >= 0 && !keep_on_cpu(0, cpu)) cpu = -1;
  seat.cpu.store(cpu, std::memory_order_relaxed);
}

bool comes_first(const Seat& seat, CallerNext next) { return is_here(seat) == (next == CallerNext::rests); }

namespace {

// Sleeps until the bell is another than `bell`, at most `ns`.
void sleep_on_bell(Control& control, uint32_t seat_index, uint32_t bell, int64_t ns) {
  control.sleepers.fetch_add(1, std::memory_order_seq_cst);
  futex_wait(control.bell, bell, ns, sleeper_bit(seat_index));
  control.sleepers.fetch_sub(1, std::memory_order_seq_cst);
}

// As sleep_on_bell, but as long as others have tiles in their hands it looks after them: first, and now and then.
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
  uint64_t idle_since = 0;  // since when the team has had nothing to do; 0 when it was not so at the last look
  for (;;) {
    // Read before the looks at `closing` and around: whatever closes the team or becomes claimable after these looks
    // moves the bell away from this value.
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
    // Also when this worker only waits for another's tiles: its thread must not be out of reach for a whole program.
    if (busy && now >= yield_at) return WorkResult::yielded;
    if (busy || look_again) idle_since = 0;
    if (look_again) continue;
    if (!busy && idle_since == 0) idle_since = now;
    if (!busy && now - idle_since >= control.linger_ns) {
      seat.state.store(static_cast<uint32_t>(SeatState::away), std::memory_order_seq_cst);
      // A program may have been published between the look and the store, by a coordinator that still saw us here.
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
