// Which CPU a worker stays on, and which of several sleepers is woken. Where these tests may use one CPU alone, there is
// nothing to choose, and they check that.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "executor_support.h"

namespace tesserae::test {
namespace {

TEST_SUITE_BEGIN("executor");

cpu_set_t allowed_cpus() {
  cpu_set_t cpus;
  sched_getaffinity(0, sizeof(cpus), &cpus);
  return cpus;
}

uint32_t count(const cpu_set_t& cpus) { return static_cast<uint32_t>(CPU_COUNT(&cpus)); }

// Whether the system has a thread asleep: one that only counts as a sleeper may still find a new bell by itself.
bool is_asleep(int32_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string text;
  std::getline(file, text);
  return text.compare(text.rfind(')') + 2, 1, "S") == 0;
}

// A control block without workers.
struct Seats {
  explicit Seats(uint32_t seats)
      : memory(zeroed_bytes(control_bytes(seats))),
        scratch(aligned_bytes((seats + 1) * kScratchBytes)),
        control(*reinterpret_cast<Control*>(memory.get())) {
    control_init(control, {static_cast<uint32_t>(Isa::ref), seats, 0, kForeverNs, scratch.get()});
  }

  int32_t cpu(uint32_t seat) const { return control.seats()[seat].cpu.load(); }

  Bytes memory;
  Bytes scratch;
  Control& control;
};

TEST_CASE("with a seat for each CPU every worker stays on one of its own") {
  const cpu_set_t before = allowed_cpus();
  Seats seats(count(before));
  if (count(before) == 1) {
    take_seat(seats.control, 0);
    CHECK(seats.cpu(0) == -1);
    return;
  }
  std::set<int32_t> cpus;
  for (uint32_t seat = 0; seat < count(before); ++seat) {
    std::thread([&] {
      take_seat(seats.control, seat);
      const cpu_set_t own = allowed_cpus();
      CHECK(count(own) == 1);
      CHECK(CPU_ISSET(seats.cpu(seat), &own));
      CHECK(CPU_ISSET(seats.cpu(seat), &before));
      CHECK(comes_first(seats.control.seats()[seat], CallerNext::rests));
      CHECK_FALSE(comes_first(seats.control.seats()[seat], CallerNext::works));
      cpus.insert(seats.cpu(seat));
    }).join();
  }
  CHECK(cpus.size() == count(before));
}

TEST_CASE("with fewer or more seats than CPUs workers go where the system sends them") {
  const cpu_set_t before = allowed_cpus();
  for (const uint32_t number : {count(before) - 1, count(before) + 1}) {
    if (number == 0) continue;
    Seats seats(number);
    for (uint32_t seat = 0; seat < number; ++seat) {
      std::thread([&] {
        take_seat(seats.control, seat);
        const cpu_set_t after = allowed_cpus();
        CHECK(CPU_EQUAL(&before, &after));
        CHECK(seats.cpu(seat) == -1);
        CHECK_FALSE(comes_first(seats.control.seats()[seat], CallerNext::rests));
      }).join();
    }
  }
}

TEST_CASE("who publishes for one of many sleepers wakes one on another CPU if it goes on, the one on its own if it rests") {
  const cpu_set_t before = allowed_cpus();
  const uint32_t number = count(before);
  if (number == 1) return;
  Seats seats(number);
  Control& control = seats.control;
  std::vector<std::thread> workers;
  std::vector<std::atomic<int32_t>> ids(number);
  for (uint32_t seat = 0; seat < number; ++seat) {
    REQUIRE(call_to_shift(control, seat));
    workers.emplace_back([&control, &ids, seat] {
      ids[seat] = static_cast<int32_t>(syscall(SYS_gettid));
      take_seat(control, seat);
      while (work(control, seat) != WorkResult::left) futex_wake(control.endings, 1);
    });
  }
  std::thread([&] {
    // The coordinator, on the CPU of each worker in turn.
    for (uint32_t round = 0; round < 4 * number; ++round) {
      const uint32_t neighbour = round / 2 % number;
      while (control.sleepers.load() != number) std::this_thread::yield();
      for (const auto& id : ids) while (!is_asleep(id)) std::this_thread::yield();
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(seats.cpu(neighbour), &one);
      REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
      const auto tiles_of = [&](uint32_t seat) { return control.seats()[seat].op_tiles[opcode_of("scale")].load(); };
      const uint64_t tiles = tiles_of(neighbour);
      TestProgram program;
      program.idle_tiles(1, 0).build();
      const CallerNext next = round % 2 == 0 ? CallerNext::works : CallerNext::rests;
      publish(control, 0, program.header(), 1, next);
      while (run_state(control, 0, program.header()) != RunState::finished) std::this_thread::yield();
      retire(control, 0, program.header());
      while (!slot_is_free(control, 0)) std::this_thread::yield();
      CHECK(tiles_of(neighbour) == tiles + (next == CallerNext::rests ? 1 : 0));
    }
  }).join();
  close_team(control);
  for (std::thread& worker : workers) worker.join();
}

TEST_SUITE_END();

}  // namespace
}  // namespace tesserae::test
