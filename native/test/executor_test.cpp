// Tests of the executor with an arranged order of events: tiles are blocked at gates until the moment under test.
// executor_race_test.cpp has the races that need many rounds.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

#include "executor_support.h"

namespace tesserae::test {
namespace {

TEST_SUITE_BEGIN("executor");

TEST_CASE("every op runs once and in order, whatever the number of workers") {
  for (const Isa isa : kAllIsas) {
    if (!isa_supported(isa)) continue;
    for (const uint32_t seats : {1u, 2u, 3u, 7u}) {
      for (const uint32_t chains : {1u, 2u, 5u}) {
        for (const int64_t tile_rows : {1, 3, 8}) {
          CAPTURE(seats);
          CAPTURE(chains);
          CAPTURE(tile_rows);
          Team::Options options;
          options.seats = seats;
          options.isa = isa;
          Team team(options);
          Cascade::Options shape;
          shape.chains = chains;
          shape.length = 30;
          shape.tile_rows = tile_rows;
          Cascade cascade(shape);
          for (int run = 0; run < 3; ++run) {
            cascade.prepare(static_cast<float>(100 * run));
            REQUIRE(team.run(cascade.program, 0) == RunState::finished);
            REQUIRE(cascade.right());
          }
          CHECK(team.tiles_done("scale") == 3 * cascade.tiles());
        }
      }
    }
  }
}

TEST_CASE("independent ops overlap, and a dependent op waits for both") {
  Team team({});
  Gate first, second, third;
  third.open = 1;
  TestProgram program;
  program.checkpoint(first, 1, 0).checkpoint(second, 1, 0).checkpoint(third, 1, 2).build();
  team.start(program, 5);
  first.await(1);
  second.await(1);  // both are inside at once
  second.open = 1;
  team.await_sleepers(1);  // its worker found no other tile, although one op of two is complete
  CHECK(third.arrived == 0);
  first.open = 1;
  CHECK(team.wait(program, 5) == RunState::finished);
  CHECK(third.arrived == 1);
  team.end(program, 5);
}

TEST_CASE("ops that complete out of order open the op behind them") {
  Team team({});
  Gate first, second, third;
  second.open = third.open = 1;
  TestProgram program;
  program.checkpoint(first, 1, 0).checkpoint(second, 6, 0).checkpoint(third, 2, 1).build();
  team.start(program, 0);
  first.await(1);
  second.await(6);
  team.await_sleepers(1);
  CHECK(third.arrived == 0);
  first.open = 1;
  CHECK(team.wait(program, 0) == RunState::finished);
  CHECK(third.arrived == 2);
  team.end(program, 0);
}

TEST_CASE("a sleeper is woken for the tile that another worker opens") {
  // A missed wake-up shows as a hang, or is repaired when the sleeper's nap ends, a few milliseconds later: so the
  // median is checked.
  Team team({});
  std::vector<double> waits_ms;
  for (int round = 0; round < 21; ++round) {
    Gate first, both;
    TestProgram program;
    program.checkpoint(first, 1, 0).checkpoint(both, 2, 1).build();
    team.start(program, 0);
    first.await(1);
    team.await_sleepers(1);
    const auto start = std::chrono::steady_clock::now();
    first.open = 1;
    both.await(2);
    waits_ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    both.open = 1;
    CHECK(team.wait(program, 0) == RunState::finished);
    team.end(program, 0);
  }
  std::sort(waits_ms.begin(), waits_ms.end());
  CHECK(waits_ms[10] < 4);
}

TEST_CASE("a program gets done while an endless one is running") {
  for (const uint32_t endless_slot : {0u, 7u, 63u}) {
    Team::Options options;
    options.seats = 1;
    Team team(options);
    TestProgram endless;
    endless.idle_tiles(1u << 31, 0).build();
    team.start(endless, endless_slot);
    Cascade short_one({});
    for (uint32_t slot : {1u, 62u, 1u}) {
      short_one.prepare(static_cast<float>(slot));
      CHECK(team.run(short_one.program, slot) == RunState::finished);
      CHECK(short_one.right());
    }
    CHECK(run_state(team.control(), endless_slot, endless.header()) == RunState::running);
    cancel(team.control(), endless_slot);
    CHECK(team.wait(endless, endless_slot) == RunState::drained);
    team.end(endless, endless_slot);
  }
}

TEST_CASE("a stream of short programs in one slot does not starve the others") {
  // This thread plays the worker.
  Team team({});
  Control& control = team.control();
  Cascade stream({});
  Cascade patient({});
  patient.prepare(1);
  REQUIRE(call_to_shift(control, 0));
  publish(control, 1, patient.program.header());
  int stream_runs = 0;
  while (run_state(control, 1, patient.program.header()) == RunState::running) {
    if (run_state(control, 0, stream.program.header()) == RunState::finished) {
      retire(control, 0, stream.program.header());
      ++stream_runs;
    }
    REQUIRE(stream_runs < 3);
    if (slot_is_free(control, 0)) {
      stream.prepare(2);
      publish(control, 0, stream.program.header());
    }
    REQUIRE(work(control, 0) == WorkResult::ended);
  }
  CHECK(patient.right());
}

TEST_CASE("as many programs as there are slots run at once") {
  Team team({});
  std::vector<std::unique_ptr<Cascade>> cascades;
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    Cascade::Options shape;
    shape.chains = 1 + slot % 3;
    cascades.push_back(std::make_unique<Cascade>(shape));
    cascades[slot]->prepare(static_cast<float>(slot));
  }
  for (uint32_t slot = 0; slot < kSlots; ++slot) team.start(cascades[slot]->program, slot);
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    CHECK(team.wait(cascades[slot]->program, slot) == RunState::finished);
    CHECK(cascades[slot]->right());
    team.end(cascades[slot]->program, slot);
  }
  CHECK(team.control().live == 0);
}

TEST_CASE("cancelled before any worker came") {
  Team team({});
  Cascade cascade({});
  cascade.prepare(1);
  publish(team.control(), 0, cascade.program.header());
  cancel(team.control(), 0);
  CHECK(run_state(team.control(), 0, cascade.program.header()) == RunState::drained);
  team.end(cascade.program, 0);
  CHECK(team.control().live == 0);
  CHECK(slot_is_free(team.control(), 0));
  CHECK(team.run(cascade.program, 0) == RunState::finished);
  CHECK(cascade.right());
  CHECK(team.tiles_done("scale") == cascade.tiles());
}

TEST_CASE("cancelled in mid-program: drained when the last visitor has left, and no tile runs afterwards") {
  Team team({});
  Gate before, held, behind;
  before.open = behind.open = 1;
  TestProgram program;
  program.checkpoint(before, 3, 0).checkpoint(held, 2, 1).checkpoint(behind, 4, 2).build();
  team.start(program, 3);
  held.await(2);
  cancel(team.control(), 3);
  CHECK(run_state(team.control(), 3, program.header()) == RunState::running);
  held.open = 1;
  CHECK(team.wait(program, 3) == RunState::drained);
  CHECK_FALSE(slot_is_free(team.control(), 3));
  team.end(program, 3);
  team.await_sleepers(2);
  CHECK(before.arrived == 3);
  CHECK(behind.arrived == 0);
  // The same program runs again from its first op, in the same slot.
  CHECK(team.run(program, 3) == RunState::finished);
  CHECK(before.arrived == 6);
  CHECK(held.arrived == 4);
  CHECK(behind.arrived == 4);
}

TEST_CASE("a kernel's failure is reported with its op and tile, and drains the program") {
  Team team({});
  Gate held, failing, behind;
  TestProgram program;
  program.checkpoint(held, 1, 0).checkpoint(failing, 1, 0, CheckpointMode::fail).checkpoint(behind, 1, 2).build();
  team.start(program, 0);
  held.await(1);
  failing.await(1);
  team.await_sleepers(1);  // the failure was recorded; the other visitor is still inside
  CHECK(run_state(team.control(), 0, program.header()) == RunState::running);
  held.open = 1;
  CHECK(team.wait(program, 0) == RunState::drained);
  const auto status = static_cast<uint32_t>(KernelStatus::checkpoint_failed);
  CHECK(team.control().slots[0].failure == pack_failure(status, 1, 0));
  team.end(program, 0);
  CHECK(behind.arrived == 0);

  // A failure in a later op; and the slot's next program does not inherit the failure.
  Gate passed, failing_again;
  passed.open = 1;
  TestProgram other;
  other.checkpoint(passed, 5, 0).checkpoint(passed, 2, 1).checkpoint(failing_again, 1, 2, CheckpointMode::fail).build();
  CHECK(team.run(other, 0) == RunState::drained);
  CHECK(team.control().slots[0].failure == pack_failure(status, 2, 0));
  Cascade cascade({});
  cascade.prepare(9);
  CHECK(team.run(cascade.program, 0) == RunState::finished);
  CHECK(cascade.right());
  CHECK(team.control().slots[0].failure == 0);
}

TEST_CASE("of several failing tiles one is reported") {
  Team::Options options;
  options.seats = 3;
  Team team(options);
  Gate failing;
  TestProgram program;
  program.checkpoint(failing, 100, 0, CheckpointMode::fail).build();
  CHECK(team.run(program, 0) == RunState::drained);
  const uint64_t failure = team.control().slots[0].failure;
  const uint64_t tile = failure & 0xffffffff;
  CHECK(failure - tile == pack_failure(static_cast<uint32_t>(KernelStatus::checkpoint_failed), 0, 0));
  CHECK(tile < static_cast<uint64_t>(failing.arrived.load()));
  CHECK(failing.arrived <= 3);
}

TEST_CASE("a worker that dies inside a tile is buried: the program drains and a new worker takes the seat") {
  Team team({});
  Gate held, deadly;
  TestProgram program;
  program.checkpoint(held, 1, 0).checkpoint(deadly, 1, 0, CheckpointMode::abandon).build();
  team.start(program, 2);
  held.await(1);
  const uint32_t seat = team.await_death();
  CHECK(run_state(team.control(), 2, program.header()) == RunState::running);
  CHECK(bury(team.control(), seat) == 2);
  CHECK(run_state(team.control(), 2, program.header()) == RunState::running);  // the other one is still inside
  held.open = 1;
  CHECK(team.wait(program, 2) == RunState::drained);
  team.end(program, 2);

  // Two tiles that must be inside at the same time prove that both seats work again.
  Gate left, right;
  TestProgram both;
  both.checkpoint(left, 1, 0).checkpoint(right, 1, 0).build();
  team.start(both, 2);
  left.await(1);
  right.await(1);
  left.open = right.open = 1;
  CHECK(team.wait(both, 2) == RunState::finished);
  team.end(both, 2);
}

TEST_CASE("a worker that died outside all programs cancels none") {
  Team team({});
  Control& control = team.control();
  Cascade cascade({});
  cascade.prepare(4);
  REQUIRE(call_to_shift(control, 0));
  publish(control, 0, cascade.program.header());
  CHECK(bury(control, 0) == -1);
  team.call_seats();
  CHECK(team.wait(cascade.program, 0) == RunState::finished);
  CHECK(cascade.right());
  team.end(cascade.program, 0);
}

TEST_CASE("a shift ends after the linger time, and the next program calls a new one") {
  Team::Options options;
  options.linger_ns = 0;
  Team team(options);
  Cascade cascade({});
  for (int run = 0; run < 20; ++run) {
    cascade.prepare(static_cast<float>(run));
    CHECK(team.run(cascade.program, 0) == RunState::finished);
    CHECK(cascade.right());
    team.await_all_away();
  }
  CHECK(team.shifts_left >= 20);
}

TEST_CASE("the team closes between two tiles of a running program") {
  Team team({});
  Gate held, behind;
  behind.open = 1;
  TestProgram program;
  program.checkpoint(held, 2, 0).checkpoint(behind, 2, 1).build();
  TestProgram endless;
  endless.idle_tiles(1u << 31, 0).build();
  team.start(program, 0);
  held.await(2);
  team.start(endless, 1);
  close_team(team.control());
  cancel(team.control(), 0);
  held.open = 1;
  CHECK(team.wait(program, 0) == RunState::drained);
  team.await_all_away();
  CHECK(behind.arrived == 0);
  CHECK(team.tiles_done("scale") == 0);
  CHECK(run_state(team.control(), 1, endless.header()) == RunState::running);
  cancel(team.control(), 1);
  CHECK(run_state(team.control(), 1, endless.header()) == RunState::drained);
}

TEST_CASE("a worker yields in long work, and also while it waits for another's tile") {
  Team team({});
  Gate held;
  TestProgram blocked;
  blocked.checkpoint(held, 1, 0).build();
  team.start(blocked, 0);
  held.await(1);
  while (team.yields < 2) std::this_thread::yield();
  held.open = 1;
  CHECK(team.wait(blocked, 0) == RunState::finished);
  team.end(blocked, 0);

  TestProgram endless;
  endless.idle_tiles(1u << 31, 0).build();
  team.start(endless, 1);
  const uint64_t before = team.yields;
  while (team.yields < before + 4) std::this_thread::yield();
  CHECK(run_state(team.control(), 1, endless.header()) == RunState::running);
  cancel(team.control(), 1);
  CHECK(team.wait(endless, 1) == RunState::drained);
  team.end(endless, 1);
}

TEST_CASE("a program runs inline, and in the team before and after") {
  Team team({});
  Cascade cascade({});
  for (int run = 0; run < 4; ++run) {
    cascade.prepare(static_cast<float>(10 * run));
    if (run % 2 == 0) {
      CHECK(run_inline(team.control(), cascade.program.header()) == 0);
    } else {
      CHECK(team.run(cascade.program, 0) == RunState::finished);
    }
    CHECK(cascade.right());
  }
  CHECK(team.tiles_done("scale") == 4 * cascade.tiles());
  CHECK(team.control().seats()[2].op_tiles[opcode_of("scale")] == 2 * cascade.tiles());

  Gate passed, failing;
  passed.open = 1;
  TestProgram program;
  program.checkpoint(passed, 3, 0).checkpoint(failing, 2, 1, CheckpointMode::fail).build();
  const auto status = static_cast<uint32_t>(KernelStatus::checkpoint_failed);
  CHECK(run_inline(team.control(), program.header()) == pack_failure(status, 1, 0));
  CHECK(failing.arrived == 1);
}

TEST_CASE("the coordinator assists, alone or beside the workers, for its time budget") {
  Team team({});
  Cascade cascade({});
  uint64_t finished = 0;
  for (int run = 0; run < 600; ++run) {
    cascade.prepare(static_cast<float>(run));
    const bool alone = run % 3 == 0;
    publish(team.control(), 0, cascade.program.header(), alone ? 0 : 1);
    if (!alone) team.call_seats();
    const bool briefly = run % 3 == 1;
    const bool done = assist(team.control(), 0, cascade.program.header(), briefly ? 0 : kForeverNs / 2);
    if (!briefly) CHECK(done);
    finished += done ? 1 : 0;
    CHECK(team.wait(cascade.program, 0) == RunState::finished);
    team.end(cascade.program, 0);
    CHECK(cascade.right());
    CHECK(slot_is_free(team.control(), 0));
  }
  CHECK(finished >= 400);
  CHECK(team.tiles_done("scale") == 600 * cascade.tiles());
  CHECK(team.control().seats()[2].op_tiles[opcode_of("scale")] > 0);
}

TEST_CASE("sleeping workers take the tiles that the coordinator leaves when its time is up") {
  Team::Options options;
  options.seats = 1;
  Team team(options);
  Cascade::Options shape;
  shape.tile_rows = 8;  // one tile an op: a thread that goes on itself does not ring for the op that it opens
  Cascade cascade(shape);
  team.call_seats();
  for (int run = 0; run < 50; ++run) {
    team.await_sleepers(1);
    cascade.prepare(static_cast<float>(run));
    publish(team.control(), 0, cascade.program.header(), 0);
    CHECK_FALSE(assist(team.control(), 0, cascade.program.header(), 0));
    CHECK(team.wait(cascade.program, 0) == RunState::finished);
    team.end(cascade.program, 0);
    CHECK(cascade.right());
  }
}

TEST_CASE("a tile that the coordinator leaves unfinished drains the run") {
  Team team({});
  Gate deadly;
  TestProgram program;
  program.checkpoint(deadly, 1, 0, CheckpointMode::abandon).build();
  publish(team.control(), 3, program.header(), 0);
  CHECK_FALSE(assist(team.control(), 3, program.header(), kForeverNs / 2));
  CHECK(run_state(team.control(), 3, program.header()) == RunState::drained);
  team.end(program, 3);
}

TEST_CASE("a failure in the coordinator's hands drains the run") {
  Team team({});
  Gate failing;
  TestProgram program;
  program.checkpoint(failing, 2, 0, CheckpointMode::fail).build();
  publish(team.control(), 3, program.header(), 0);
  CHECK_FALSE(assist(team.control(), 3, program.header(), kForeverNs / 2));
  CHECK(run_state(team.control(), 3, program.header()) == RunState::drained);
  CHECK(team.control().slots[3].failure != 0);
  team.end(program, 3);
}

TEST_CASE("the counters go on beyond 32 bits") {
  Team team({});
  Cascade::Options shape;
  shape.chains = 2;
  shape.first_run = (uint64_t{1} << 33) - 2;
  Cascade cascade(shape);
  for (int run = 0; run < 5; ++run) {
    cascade.prepare(static_cast<float>(run));
    CHECK(team.run(cascade.program, 0) == RunState::finished);
    CHECK(cascade.right());
  }
  CHECK(cascade.program.header().run == (uint64_t{1} << 33) + 3);
  CHECK(team.tiles_done("scale") == 5 * cascade.tiles());
}

TEST_CASE("a seat is called once") {
  Team team({});
  CHECK(call_to_shift(team.control(), 1));
  CHECK_FALSE(call_to_shift(team.control(), 1));
  CHECK(bury(team.control(), 1) == -1);
  CHECK(call_to_shift(team.control(), 1));
}

TEST_SUITE_END();

}  // namespace
}  // namespace tesserae::test
