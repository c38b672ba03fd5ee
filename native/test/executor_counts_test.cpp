// What an op costs a team of 64 workers, counted on any machine: read-modify-writes of shared words, wake-ups, calls of workers
// that are away, and system calls. The executor here is compiled a second time with counting.h, which counts them and simulates 64 CPUs.
#include <doctest/doctest.h>

#include <numeric>

#include "counting.h"
#include "executor_support.h"

namespace tesserae {

// The kernel table of this executor, in place of kernels/table.cpp.
namespace {
constexpr KernelInfo kInfos[] = {{"checkpoint", sizeof(CheckpointParams)}, {"scale", sizeof(ScaleParams)}};
constexpr Kernel kKernels[] = {checkpoint_ref, scale_ref};
constexpr KernelSet kSet = {"ref", kKernels, 1, 1, 1};
}  // namespace

uint32_t kernel_count() { return 2; }
const KernelInfo& kernel_info(uint32_t opcode) { return kInfos[opcode]; }
const KernelSet& kernel_set(Isa) { return kSet; }

}  // namespace tesserae

namespace tesserae::test {
namespace {

TEST_SUITE_BEGIN("executor");

constexpr uint32_t kManySeats = 64;
constexpr uint32_t kSteps = 8;

Counts operator-(const Counts& a, const Counts& b) {
  return {a.read_modify_writes - b.read_modify_writes,
          a.waits - b.waits,
          a.wakes - b.wakes,
          a.woken - b.woken,
          a.cpu_looks - b.cpu_looks,
          a.time_looks - b.time_looks,
          a.moves - b.moves};
}

// A worker for each seat, each pinned to a simulated CPU of its own, and what each of them did.
class CountedWorkers {
 public:
  explicit CountedWorkers(Control& control) : control_(control), counts_(control.seat_count) {
    for (uint32_t seat = 0; seat < control.seat_count; ++seat) {
      REQUIRE(call_to_shift(control, seat));
      threads_.emplace_back([this, seat] {
        take_seat(control_, seat);
        counts = {};
        while (work(control_, seat) != WorkResult::left) {}
        counts_[seat] = counts;
      });
    }
  }

  // Ends the workers. Called once.
  const std::vector<Counts>& end() {
    close_team(control_);
    for (std::thread& thread : threads_) thread.join();
    return counts_;
  }

  void await_sleepers(uint32_t number) const {
    while (control_.sleepers.load() < number) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }

 private:
  Control& control_;
  std::vector<Counts> counts_;
  std::vector<std::thread> threads_;
};

struct Measured {
  Counts publish;               // by the coordinator, of a program with a tile for each worker
  Counts publish_few;           // of a program with fewer tiles than there are sleepers
  std::vector<Counts> workers;  // each for the whole time
};

void await_end(Control& control, TestProgram& program) {
  while (run_state(control, 0, program.header()) != RunState::finished) std::this_thread::yield();
  retire(control, 0, program.header());
  while (!slot_is_free(control, 0)) std::this_thread::yield();
}

// Each step is an op of one tile beside an op with a tile for each other seat, so that every worker computes one tile of
// it. The single tile ends when all others sleep: its worker opens the next step and rings for all of them.
Measured measure(uint32_t seats) {
  const Bytes memory = zeroed_bytes(control_bytes(seats));
  const Bytes scratch = aligned_bytes((seats + 1) * kScratchBytes);
  auto& control = *reinterpret_cast<Control*>(memory.get());
  control_init(control, {static_cast<uint32_t>(Isa::ref), seats, 0, kForeverNs, scratch.get()});
  std::deque<Gate> slow(kSteps);
  std::deque<Gate> quick(kSteps);
  TestProgram program;
  for (uint32_t step = 0; step < kSteps; ++step) {
    program.checkpoint(slow[step], 1, 2 * step).checkpoint(quick[step], seats - 1, 2 * step);
  }
  program.build();
  CountedWorkers workers(control);
  workers.await_sleepers(seats);
  simulated_cpu = static_cast<int32_t>(seats) - 1;
  const Counts before = counts;
  publish(control, 0, program.header());
  Measured measured = {counts - before, {}, {}};
  for (uint32_t step = 0; step < kSteps; ++step) {
    slow[step].await(1);
    quick[step].await(static_cast<int32_t>(seats) - 1);
    quick[step].open = 1;
    workers.await_sleepers(seats - 1);
    slow[step].open = 1;
  }
  await_end(control, program);
  for (int round = 0; round < 2; ++round) {
    TestProgram few;
    few.idle_tiles(3, 0).build();
    workers.await_sleepers(seats);
    const Counts before_few = counts;
    publish(control, 0, few.header());
    measured.publish_few = counts - before_few;
    await_end(control, few);
  }
  measured.workers = workers.end();
  return measured;
}

uint64_t sum_of(const std::vector<Counts>& workers, uint64_t Counts::*what) {
  return std::accumulate(workers.begin(), workers.end(), uint64_t{0},
                         [&](uint64_t sum, const Counts& one) { return sum + one.*what; });
}

TEST_CASE("an op costs each of 64 workers a constant number of shared writes, wake-ups and system calls") {
  for (const uint32_t seats : {8u, kManySeats}) {
    CAPTURE(seats);
    const Measured measured = measure(seats);
    const double tiles = seats * kSteps;
    uint64_t most_woken = 0;
    for (const Counts& worker : measured.workers) most_woken = std::max(most_woken, worker.woken);
    const auto a_tile = [&](uint64_t Counts::*what) { return static_cast<double>(sum_of(measured.workers, what)) / tiles; };
    MESSAGE(seats << " workers, a tile: read-modify-writes " << a_tile(&Counts::read_modify_writes) << ", waits "
                  << a_tile(&Counts::waits) << ", wakes " << a_tile(&Counts::wakes) << ", looks at CPUs "
                  << a_tile(&Counts::cpu_looks) << ", at CPU times " << a_tile(&Counts::time_looks)
                  << "; most woken by one " << most_woken << "; publish: read-modify-writes "
                  << measured.publish.read_modify_writes << ", wakes " << measured.publish.wakes << ", woken "
                  << measured.publish.woken << "; of few tiles: looks at CPUs " << measured.publish_few.cpu_looks
                  << ", wakes " << measured.publish_few.wakes);
    // A worker enters and leaves the program, claims and counts its tile. Each time that it waits, it has looked once more,
    // and counts as a sleeper; where it must wait for long, it looks again every 4 ms.
    const double waits = a_tile(&Counts::waits);
    CHECK(a_tile(&Counts::read_modify_writes) <= 6 * (1 + waits));
    CHECK(a_tile(&Counts::wakes) <= 1 + waits);
    // Three looks at each of two threads.
    CHECK(a_tile(&Counts::time_looks) <= 6 * waits);
    for (const Counts& worker : measured.workers) CHECK(worker.woken <= 2 * worker.wakes);
    CHECK(sum_of(measured.workers, &Counts::cpu_looks) == 0);
    CHECK(sum_of(measured.workers, &Counts::moves) <= 2 * seats);
    CHECK(measured.publish.read_modify_writes <= 4);
    CHECK(measured.publish.wakes == 1);
    CHECK(measured.publish.woken <= 2);
    CHECK(measured.publish_few.wakes <= 2);
    CHECK(measured.publish_few.cpu_looks == 1);
  }
}

// Workers that sleep between shifts on the states of their seats, and call each other, as in workers/shift.ts.
class AwayWorkers {
 public:
  explicit AwayWorkers(Control& control) : control_(control) {
    for (uint32_t seat = 0; seat < control.seat_count; ++seat) threads_.emplace_back([this, seat] { serve(seat); });
  }

  ~AwayWorkers() {
    close_team(control_);
    is_over_ = true;
    for (uint32_t seat = 0; seat < control_.seat_count; ++seat) {
      state_of(seat).store(static_cast<uint32_t>(SeatState::on_shift));
      notify(seat);
    }
    for (std::thread& thread : threads_) thread.join();
  }

  AwayWorkers(const AwayWorkers&) = delete;
  AwayWorkers& operator=(const AwayWorkers&) = delete;

  // What the coordinator does after it has published a program. Returns how many workers it called itself.
  uint32_t call(uint32_t most) {
    uint8_t seats[kCallsEach];
    const uint32_t called = call_to_shift(control_, seats, most, CallerNext::rests);
    for (uint32_t i = 0; i < called; ++i) notify(seats[i]);
    return called;
  }

  uint64_t calls() const {
    uint64_t sum = 0;
    for (uint32_t seat = 0; seat < control_.seat_count; ++seat) sum += control_.seats()[seat].calls.load();
    return sum;
  }

  void await_all_away() const {
    for (uint32_t seat = 0; seat < control_.seat_count; ++seat) {
      while (state_of(seat).load() != kAway) std::this_thread::yield();
    }
    while (resting_.load() < control_.seat_count) std::this_thread::yield();
  }

 private:
  static constexpr auto kAway = static_cast<uint32_t>(SeatState::away);

  Shared<uint32_t>& state_of(uint32_t seat) const { return control_.seats()[seat].state; }
  void notify(uint32_t seat) const { futex_wake(state_of(seat), 1); }

  void serve(uint32_t seat) {
    while (!is_over_) {
      ++resting_;
      while (state_of(seat).load() == kAway && !is_over_) futex_wait(state_of(seat), kAway, static_cast<int64_t>(kForeverNs));
      --resting_;
      for (uint32_t calls = 0; calls < kCallsEach; ++calls) {
        const int32_t called = call_another(control_, seat);
        if (called == -1) break;
        notify(static_cast<uint32_t>(called));
      }
      while (work(control_, seat) != WorkResult::left) {}
    }
  }

  Control& control_;
  std::atomic<bool> is_over_{false};
  std::atomic<uint32_t> resting_{0};  // workers that have left their shift; a worker may take its seat back before that
  std::vector<std::thread> threads_;
};

TEST_CASE("64 workers that are away are all called if there is work for them, and no thread calls more than two of them") {
  CHECK(kCallsEach == 2);
  const Bytes memory = zeroed_bytes(control_bytes(kManySeats));
  const Bytes scratch = aligned_bytes((kManySeats + 1) * kScratchBytes);
  auto& control = *reinterpret_cast<Control*>(memory.get());
  control_init(control, {static_cast<uint32_t>(Isa::ref), kManySeats, 0, 0, scratch.get()});
  AwayWorkers workers(control);
  for (const uint32_t tiles : {kManySeats, 5u, 2u, kManySeats}) {
    CAPTURE(tiles);
    workers.await_all_away();
    const uint64_t calls = workers.calls();
    Gate gate;
    TestProgram program;
    program.checkpoint(gate, tiles, 0).build();
    publish(control, 0, program.header());
    const Counts before = counts;
    CHECK(workers.call(tiles) == 2);
    CHECK((counts - before).read_modify_writes == 2);
    CHECK((counts - before).wakes == 2);
    // Each tile needs a worker of its own: they wait for one another.
    gate.await(static_cast<int32_t>(tiles));
    CHECK(workers.calls() - calls == tiles - 2);
    CHECK(control.calls_owed.load() == 0);
    gate.open = 1;
    await_end(control, program);
  }
  // What an earlier program has left calls nobody later.
  workers.await_all_away();
  const uint64_t calls = workers.calls();
  control.calls_owed.store(40);
  TestProgram one;
  one.idle_tiles(1, 0).build();
  publish(control, 0, one.header());
  CHECK(workers.call(1) == 1);
  await_end(control, one);
  workers.await_all_away();
  CHECK(workers.calls() == calls);
}

TEST_SUITE_END();

}  // namespace
}  // namespace tesserae::test
