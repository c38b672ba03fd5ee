// Tests of traces: which seat computed which tile, and when. bench/executor_bench.cpp measures the cost of a run
// without a trace.
#include <doctest/doctest.h>

#include <algorithm>

#include "executor_support.h"

namespace tesserae::test {
namespace {

TEST_SUITE_BEGIN("executor");

constexpr uint64_t kUnwritten = ~uint64_t{0};

uint64_t tiles_of(ProgramHeader& program) {
  uint64_t tiles = 0;
  for (uint32_t op = 0; op < program.op_count; ++op) tiles += program.records()[op].tile_count;
  return tiles;
}

// The memory of a trace, with a guard at its end, set as the program's trace.
struct Trace {
  explicit Trace(ProgramHeader& program)
      : tiles(tiles_of(program)), entries(tiles + 1, TileTrace{kUnwritten, kUnwritten, kUnwritten}) {
    program.trace = reinterpret_cast<uint64_t>(entries.data());
  }

  uint64_t written() const {
    return static_cast<uint64_t>(
        std::count_if(entries.begin(), entries.end(), [](const TileTrace& tile) { return tile.seat != kUnwritten; }));
  }

  uint64_t tiles;
  std::vector<TileTrace> entries;
};

void check_times(const Trace& trace, ProgramHeader& program, uint32_t seats) {
  REQUIRE(trace.written() == trace.tiles);
  REQUIRE(trace.entries.back().seat == kUnwritten);
  for (uint64_t i = 0; i < trace.tiles; ++i) {
    REQUIRE(trace.entries[i].begin_ns <= trace.entries[i].end_ns);
    REQUIRE(trace.entries[i].seat < seats);
  }
  std::vector<TileTrace> sorted(trace.entries.begin(), trace.entries.end() - 1);
  std::sort(sorted.begin(), sorted.end(), [](const TileTrace& a, const TileTrace& b) {
    return a.seat != b.seat ? a.seat < b.seat : a.begin_ns < b.begin_ns;
  });
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].seat == sorted[i - 1].seat) REQUIRE(sorted[i].begin_ns >= sorted[i - 1].end_ns);
  }
  uint64_t end_of_earlier = 0;  // when the last of the ops 0 .. after-1 ended; `after` never falls along the program
  uint32_t looked_at = 0;
  for (uint32_t op = 0; op < program.op_count; ++op) {
    const OpRecord& record = program.records()[op];
    for (; looked_at < record.after; ++looked_at) {
      const OpRecord& earlier = program.records()[looked_at];
      for (uint32_t tile = 0; tile < earlier.tile_count; ++tile) {
        end_of_earlier = std::max(end_of_earlier, trace.entries[earlier.first_tile + tile].end_ns);
      }
    }
    for (uint32_t tile = 0; tile < record.tile_count; ++tile) {
      REQUIRE(trace.entries[record.first_tile + tile].begin_ns >= end_of_earlier);
    }
  }
}

TEST_CASE("a trace has every tile, no two at once on a seat, none before what it waits for") {
  for (const uint32_t seats : {1u, 2u, 3u}) {
    CAPTURE(seats);
    Team::Options options;
    options.seats = seats;
    Team team(options);
    Cascade::Options shape;
    shape.chains = 3;
    shape.length = 10;
    Cascade cascade(shape);
    ProgramHeader& program = cascade.program.header();
    uint32_t slot = 0;
    for (int run = 0; run < rounds(200); ++run) {
      // Each run has its own trace, which is freed after the run although late visitors may still be inside.
      auto trace = std::make_unique<Trace>(program);
      cascade.prepare(static_cast<float>(run));
      slot = team.take_free_slot(slot + 1);
      team.start(cascade.program, slot);
      REQUIRE(team.wait(cascade.program, slot) == RunState::finished);
      REQUIRE(cascade.right());
      retire(team.control(), slot, program);
      check_times(*trace, program, seats);
    }
    team.await_all_free();
  }
}

TEST_CASE("a program does not write to a trace that was removed, even in cancelled runs") {
  Team team({});
  Cascade cascade({});
  ProgramHeader& program = cascade.program.header();
  for (int run = 0; run < rounds(300); ++run) {
    auto trace = std::make_unique<Trace>(program);
    cascade.prepare(1);
    const uint32_t slot = team.take_free_slot();
    team.start(cascade.program, slot);
    if (run % 2 == 0) cancel(team.control(), slot);
    const RunState state = team.wait(cascade.program, slot);
    retire(team.control(), slot, program);
    if (state == RunState::finished) CHECK(trace->written() == trace->tiles);
    program.trace = 0;
    trace.reset();
    const uint32_t next = team.take_free_slot();
    cascade.prepare(2);
    REQUIRE(team.run(cascade.program, next) == RunState::finished);
    REQUIRE(cascade.right());
  }
}

TEST_CASE("a run on the calling thread is traced with the seat number after the workers' seats") {
  Team team({});
  Cascade cascade({});
  ProgramHeader& program = cascade.program.header();
  Trace trace(program);
  cascade.prepare(1);
  REQUIRE(run_inline(team.control(), program) == 0);
  check_times(trace, program, 3);
  for (uint64_t i = 0; i < trace.tiles; ++i) CHECK(trace.entries[i].seat == 2);
}

TEST_SUITE_END();

}  // namespace
}  // namespace tesserae::test
