// Races of the executor, provoked by many rounds with varying timing. TESSERAE_TEST_ROUNDS multiplies the rounds and
// the watchdog's limit; the default is short. Most cases run with a few seats, and with more than the machine may have CPUs.
// executor_test.cpp has the cases with an arranged order of events.
#include <doctest/doctest.h>

#include <random>

#include "executor_support.h"

namespace tesserae::test {
namespace {

TEST_SUITE_BEGIN("executor");

// Waits for a random time between tens of nanoseconds and microseconds, so that two threads meet at varying points.
class Jitter {
 public:
  explicit Jitter(uint32_t seed) : random_(seed) {}

  void operator()() {
    const uint32_t spins = random_() % 4 == 0 ? random_() % 4000 : random_() % 100;
    for (volatile uint32_t i = 0; i < spins; i = i + 1) {
    }
  }

  bool flip() { return random_() % 2 == 0; }
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

 private:
  std::mt19937 random_;
};

constexpr uint32_t kManySeats = 8;

// Polls without sleeping, to see a program as finished while its last visitors are still inside.
RunState watch(Team& team, TestProgram& program, uint32_t slot) {
  RunState state = RunState::running;
  while (state == RunState::running) {
    state = run_state(team.control(), slot, program.header());
    if (state == RunState::running) std::this_thread::yield();
  }
  return state;
}

TEST_CASE("one program replayed at once in another slot, with late visitors of the run before still inside") {
  for (const uint32_t seats : {1u, 2u, 3u, kManySeats}) {
    Team::Options options;
    options.seats = seats;
    Team team(options);
    Cascade::Options shape;
    shape.chains = 2;
    shape.length = 4;
    shape.rows = 3;
    Cascade cascade(shape);
    Jitter jitter(seats);
    const int runs = rounds(2000);
    int wrong = 0;
    uint32_t slot = 0;
    for (int run = 0; run < runs; ++run) {
      slot = team.take_free_slot((slot + jitter.below(3)) % kSlots);
      cascade.prepare(static_cast<float>(run % 1000));
      team.start(cascade.program, slot);
      const RunState state = jitter.flip() ? team.wait(cascade.program, slot) : watch(team, cascade.program, slot);
      REQUIRE(state == RunState::finished);
      if (!cascade.right()) ++wrong;
      retire(team.control(), slot, cascade.program.header());
    }
    CHECK(wrong == 0);
    CHECK(team.tiles_done("scale") == static_cast<uint64_t>(runs) * cascade.tiles());
    CHECK(cascade.program.header().run == static_cast<uint64_t>(runs));
    team.await_all_free();
  }
}

void free_memory_early(uint32_t seats) {
  // Each program has new memory, which is freed as early as allowed: the sanitizers report a late visitor that still
  // reads it.
  Team::Options options;
  options.seats = seats;
  Team team(options);
  Jitter jitter(1);
  for (int round = 0; round < rounds(1000); ++round) {
    Cascade::Options shape;
    shape.length = 2 + jitter.below(3);
    shape.rows = 1 + jitter.below(4);
    auto cascade = std::make_unique<Cascade>(shape);
    cascade->prepare(1);
    const uint32_t slot = round % 3;
    team.start(cascade->program, slot);
    if (jitter.below(4) == 0) {
      jitter();
      cancel(team.control(), slot);
    }
    if (watch(team, cascade->program, slot) == RunState::finished) REQUIRE(cascade->right());
    retire(team.control(), slot, cascade->program.header());
    while (!slot_is_free(team.control(), slot)) {
    }
    cascade.reset();
  }
}

TEST_CASE("a program's memory is free once its slot is") {
  for (const uint32_t seats : {3u, kManySeats}) free_memory_early(seats);
}

TEST_CASE("a cancel at any moment ends as drained or finished, and the next run is right") {
  Team team({});
  Cascade::Options shape;
  shape.length = 3;
  shape.rows = 4;
  Cascade cascade(shape);
  Jitter jitter(2);
  int finished = 0;
  int drained = 0;
  for (int round = 0; round < rounds(3000); ++round) {
    const uint32_t slot = team.take_free_slot(jitter.below(kSlots));
    cascade.prepare(static_cast<float>(round % 1000));
    team.start(cascade.program, slot);
    jitter();
    cancel(team.control(), slot);
    const RunState state = team.wait(cascade.program, slot);
    if (state == RunState::finished) {
      ++finished;
      REQUIRE(cascade.right());
    } else {
      ++drained;
    }
    retire(team.control(), slot, cascade.program.header());
    REQUIRE(team.control().live == 0);
    if (round % 4 != 0) continue;
    const uint32_t next = team.take_free_slot();
    cascade.prepare(static_cast<float>(round % 1000 + 1));
    REQUIRE(team.run(cascade.program, next) == RunState::finished);
    REQUIRE(cascade.right());
  }
  team.await_all_free();
  CHECK(finished + drained == rounds(3000));
}

TEST_CASE("no program is lost to a worker that is about to leave its shift") {
  for (const uint64_t linger_ns : {0, 1000, 5000, 20000, 60000}) {
    Team::Options options;
    options.linger_ns = linger_ns;
    Team team(options);
    Cascade::Options shape;
    shape.length = 2;
    shape.rows = 2;
    Cascade cascade(shape);
    Jitter jitter(static_cast<uint32_t>(linger_ns));
    for (int round = 0; round < rounds(600); ++round) {
      const uint32_t slot = team.take_free_slot();
      cascade.prepare(static_cast<float>(round));
      team.start(cascade.program, slot);
      REQUIRE(team.wait(cascade.program, slot) == RunState::finished);
      REQUIRE(cascade.right());
      retire(team.control(), slot, cascade.program.header());
      // The next program comes when the workers have been idle for about the linger time.
      const auto idle = std::chrono::nanoseconds(linger_ns / 2 + jitter.below(static_cast<uint32_t>(linger_ns) + 1));
      const auto until = std::chrono::steady_clock::now() + idle;
      while (std::chrono::steady_clock::now() < until) {
      }
      jitter();
    }
    team.await_all_free();
  }
}

void run_many_at_random(uint32_t seats) {
  Team::Options options;
  options.seats = seats;
  options.linger_ns = 50'000;
  Team team(options);
  constexpr uint32_t kPrograms = 6;
  struct Running {
    std::unique_ptr<Cascade> cascade;
    uint32_t slot = 0;
    bool running = false;
    bool cancelled = false;
  };
  std::vector<Running> all(kPrograms);
  for (uint32_t i = 0; i < kPrograms; ++i) {
    Cascade::Options shape;
    shape.chains = 1 + i % 3;
    shape.length = 2 + i;
    shape.rows = 1 + i;
    all[i].cascade = std::make_unique<Cascade>(shape);
  }
  Gate failing;
  TestProgram failing_program;
  failing_program.idle_tiles(2, 0).checkpoint(failing, 1, 1, CheckpointMode::fail).idle_tiles(2, 2).build();
  uint32_t failing_slot = kSlots;
  Jitter jitter(7);
  for (int step = 0; step < rounds(4000); ++step) {
    const uint32_t endings = team.control().endings.load();
    bool look_again = false;
    for (Running& one : all) {
      if (one.running) {
        const RunState state = run_state(team.control(), one.slot, one.cascade->program.header());
        if (state == RunState::running) continue;
        REQUIRE((state == RunState::finished || one.cancelled));
        if (state == RunState::finished) REQUIRE(one.cascade->right());
        retire(team.control(), one.slot, one.cascade->program.header());
        one.running = false;
        look_again = true;
      }
      if (jitter.flip()) continue;
      one.slot = team.take_free_slot(jitter.below(kSlots));
      one.cascade->prepare(static_cast<float>(step % 1000));
      one.running = true;
      one.cancelled = false;
      team.start(one.cascade->program, one.slot);
      if (jitter.below(8) == 0) {
        jitter();
        cancel(team.control(), one.slot);
        one.cancelled = true;
        look_again = true;  // if no worker was inside there is no ending: the coordinator itself must see it drained
      }
    }
    if (failing_slot != kSlots &&
        run_state(team.control(), failing_slot, failing_program.header()) != RunState::running) {
      REQUIRE(team.control().slots[failing_slot].failure != 0);
      retire(team.control(), failing_slot, failing_program.header());
      failing_slot = kSlots;
      look_again = true;
    }
    if (failing_slot == kSlots && jitter.below(4) == 0) {
      failing_slot = team.take_free_slot();
      team.start(failing_program, failing_slot);
    }
    bool any_running = failing_slot != kSlots;
    for (const Running& one : all) any_running = any_running || one.running;
    if (any_running && !look_again) futex_wait(team.control().endings, endings, static_cast<int64_t>(kForeverNs));
  }
  if (failing_slot != kSlots) REQUIRE(team.wait(failing_program, failing_slot) == RunState::drained);
  for (Running& one : all) {
    if (one.running) team.wait(one.cascade->program, one.slot);
  }
  close_team(team.control());  // all late visitors leave before the programs' memory is freed
  team.await_all_away();
}

TEST_CASE("many programs at once, published, cancelled, failing and replayed at random") {
  for (const uint32_t seats : {3u, kManySeats}) run_many_at_random(seats);
}

void wait_for_late_visitors(uint32_t seats) {
  Team::Options options;
  options.seats = seats;
  Team team(options);
  Cascade::Options shape;
  shape.length = 2;
  shape.rows = 3;
  Cascade cascade(shape);
  for (int round = 0; round < rounds(1000); ++round) {
    cascade.prepare(static_cast<float>(round % 1000));
    team.start(cascade.program, 0);
    REQUIRE(watch(team, cascade.program, 0) == RunState::finished);
    retire(team.control(), 0, cascade.program.header());
    for (;;) {
      const uint32_t endings = team.control().endings.load();
      if (slot_is_free(team.control(), 0)) break;
      futex_wait(team.control().endings, endings, static_cast<int64_t>(kForeverNs));
    }
  }
}

TEST_CASE("an ending is reported when a late visitor leaves a slot, so that its memory can be freed") {
  for (const uint32_t seats : {3u, kManySeats}) wait_for_late_visitors(seats);
}

TEST_CASE("the team closes at any moment of a run") {
  Jitter jitter(3);
  for (int round = 0; round < rounds(150); ++round) {
    Team::Options options;
    options.seats = 1 + jitter.below(round % 2 == 0 ? 3 : kManySeats);
    options.linger_ns = jitter.flip() ? kForeverNs : 0;
    Team team(options);
    Cascade cascade({});
    cascade.prepare(1);
    team.start(cascade.program, 0);
    jitter();
    close_team(team.control());
    cancel(team.control(), 0);
    if (team.wait(cascade.program, 0) == RunState::finished) REQUIRE(cascade.right());
    team.await_all_away();
    retire(team.control(), 0, cascade.program.header());
    REQUIRE(slot_is_free(team.control(), 0));
  }
}

void let_workers_die(uint32_t seats) {
  Team::Options options;
  options.seats = seats;
  Team team(options);
  Cascade cascade({});
  Gate deadly;
  TestProgram program;
  program.idle_tiles(3, 0).checkpoint(deadly, 1, 1, CheckpointMode::abandon).build();
  for (int round = 0; round < rounds(100); ++round) {
    const uint32_t slot = team.take_free_slot();
    team.start(program, slot);
    cascade.prepare(static_cast<float>(round));
    const uint32_t other_slot = team.take_free_slot(slot + 1);
    team.start(cascade.program, other_slot);
    REQUIRE(bury(team.control(), team.await_death()) == static_cast<int32_t>(slot));
    team.call_seats();
    REQUIRE(team.wait(program, slot) == RunState::drained);
    retire(team.control(), slot, program.header());
    REQUIRE(team.wait(cascade.program, other_slot) == RunState::finished);
    REQUIRE(cascade.right());
    retire(team.control(), other_slot, cascade.program.header());
  }
  team.await_all_free();
}

TEST_CASE("workers die again and again") {
  for (const uint32_t seats : {2u, kManySeats}) let_workers_die(seats);
}

TEST_SUITE_END();

}  // namespace
}  // namespace tesserae::test
