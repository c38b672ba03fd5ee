// Tests of CPU affinity in the executor: which CPU a worker is pinned to, when two workers exchange CPUs, and which of
// several sleepers is woken. On a machine with one CPU they check that nothing is pinned.
#include <doctest/doctest.h>
#include <sched.h>

#include <fstream>
#include <set>

#include "core/cpu.h"
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

// Whether the system reports the thread as sleeping. A thread that is only counted in `sleepers` may still see a new
// bell before it sleeps.
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

// A worker for each seat, on shift for the whole test.
class Workers {
 public:
  explicit Workers(Seats& seats) : control_(seats.control), ids_(control_.seat_count) {
    for (uint32_t seat = 0; seat < control_.seat_count; ++seat) {
      REQUIRE(call_to_shift(control_, seat));
      threads_.emplace_back([this, seat] {
        ids_[seat] = thread_id();
        take_seat(control_, seat);
        while (work(control_, seat) != WorkResult::left) futex_wake(control_.endings, 1);
      });
    }
    await_sleep();
  }

  ~Workers() {
    close_team(control_);
    for (std::thread& thread : threads_) thread.join();
  }

  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Waits until all workers sleep and no program is live.
  void await_sleep() const {
    while (control_.sleepers.load() != control_.seat_count) std::this_thread::yield();
    for (const auto& id : ids_) while (!is_asleep(id)) std::this_thread::yield();
  }

  int32_t id(uint32_t seat) const { return ids_[seat]; }

 private:
  Control& control_;
  std::vector<std::atomic<int32_t>> ids_;
  std::vector<std::thread> threads_;
};

void await_end(Control& control, TestProgram& program) {
  while (run_state(control, 0, program.header()) != RunState::finished) std::this_thread::yield();
  retire(control, 0, program.header());
  while (!slot_is_free(control, 0)) std::this_thread::yield();
}

TEST_CASE("with a seat for each CPU every worker is pinned to its own CPU") {
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
      CHECK(comes_first(seats.control.seats()[seat], current_cpu(), CallerNext::rests));
      CHECK_FALSE(comes_first(seats.control.seats()[seat], current_cpu(), CallerNext::works));
      cpus.insert(seats.cpu(seat));
    }).join();
  }
  CHECK(cpus.size() == count(before));
}

TEST_CASE("with fewer or more seats than CPUs workers are not pinned") {
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
        CHECK_FALSE(comes_first(seats.control.seats()[seat], current_cpu(), CallerNext::rests));
      }).join();
    }
  }
}

TEST_CASE("publish wakes a sleeper on another CPU if the caller works on, the one on its own CPU if the caller rests") {
  const cpu_set_t before = allowed_cpus();
  const uint32_t number = count(before);
  if (number == 1) return;
  Seats seats(number);
  Control& control = seats.control;
  const Workers workers(seats);
  std::thread([&] {
    // This thread is the coordinator; it runs on the CPU of each worker in turn.
    for (uint32_t round = 0; round < 4 * number; ++round) {
      const uint32_t neighbour = round / 2 % number;
      workers.await_sleep();
      REQUIRE(keep_on_cpu(0, seats.cpu(neighbour)));
      const auto tiles_of = [&](uint32_t seat) { return control.seats()[seat].op_tiles[opcode_of("scale")].load(); };
      const uint64_t tiles = tiles_of(neighbour);
      TestProgram program;
      program.idle_tiles(1, 0).build();
      const CallerNext next = round % 2 == 0 ? CallerNext::works : CallerNext::rests;
      publish(control, 0, program.header(), 1, next);
      await_end(control, program);
      CHECK(tiles_of(neighbour) == tiles + (next == CallerNext::rests ? 1 : 0));
    }
  }).join();
}

TEST_CASE("the CPU time of a thread grows while it runs, and does not change while it sleeps") {
  std::atomic<int32_t> id{0};
  Gate gate;
  std::thread sleeper([&] {
    id = thread_id();
    while (gate.open == 0) futex_wait(reinterpret_cast<std::atomic<uint32_t>&>(gate.open), 0, static_cast<int64_t>(kForeverNs));
  });
  while (id == 0 || !is_asleep(id)) std::this_thread::yield();
  const int64_t slept = cpu_time_ns(id);
  const int64_t own = cpu_time_ns(thread_id());
  CHECK(slept >= 0);
  CHECK(own >= 0);
  while (cpu_time_ns(thread_id()) == own) {}
  CHECK(cpu_time_ns(id) == slept);
  gate.open = 1;
  futex_wake(reinterpret_cast<std::atomic<uint32_t>&>(gate.open), 1);
  sleeper.join();
  constexpr int32_t kNobody = 0x0fffffff;
  CHECK(cpu_time_ns(kNobody) == -1);
}

TEST_CASE("a worker that waits for a tile exchanges CPUs with one that has it and does not run") {
  const uint32_t number = count(allowed_cpus());
  if (number == 1) return;
  Seats seats(number);
  Control& control = seats.control;
  const Workers workers(seats);
  for (int round = 0; round < rounds(20); ++round) {
    std::vector<int32_t> before(number);
    for (uint32_t seat = 0; seat < number; ++seat) before[seat] = seats.cpu(seat);
    // One worker gets a tile in which it sleeps most of the time; the others have nothing to do.
    Gate slow;
    Gate quick;
    TestProgram program;
    program.checkpoint(slow, 1, 0).checkpoint(quick, number - 1, 0).build();
    publish(control, 0, program.header());
    slow.await(1);
    quick.await(static_cast<int32_t>(number) - 1);
    quick.open = 1;
    const uint64_t all = (program.header().run + 1) * (number - 1);
    while (program.header().counters()[1].done.load() < all) std::this_thread::yield();
    uint32_t held = 0;
    while (control.seats()[held].inside.load() == 0) held = (held + 1) % number;
    while (seats.cpu(held) == before[held]) std::this_thread::yield();
    slow.open = 1;
    await_end(control, program);
    workers.await_sleep();
    std::set<int32_t> cpus;
    for (uint32_t seat = 0; seat < number; ++seat) {
      CHECK(only_cpu_of(workers.id(seat)) == seats.cpu(seat));
      cpus.insert(seats.cpu(seat));
    }
    CHECK(cpus.size() == number);
  }
}

TEST_CASE("workers exchange CPUs at any moment of a stream of programs, and still have one each") {
  const uint32_t number = count(allowed_cpus());
  if (number == 1) return;
  Seats seats(number);
  Control& control = seats.control;
  const Workers workers(seats);
  uint64_t exchanges = 0;
  int32_t before = seats.cpu(0);
  for (int round = 0; round < rounds(400); ++round) {
    // A worker inside the program sleeps in its tile until this thread opens the gate, after a varying time.
    Gate gate;
    TestProgram program;
    program.checkpoint(gate, 1, 0).idle_tiles(number, 0).checkpoint(gate, 1, 2).build();
    publish(control, 0, program.header());
    gate.await(1);
    for (int wait = 0; wait < round % 50; ++wait) std::this_thread::yield();
    gate.open = 1;
    await_end(control, program);
    if (seats.cpu(0) != before) ++exchanges;
    before = seats.cpu(0);
  }
  workers.await_sleep();
  MESSAGE("CPUs exchanged " << exchanges << " times");
  std::set<int32_t> cpus;
  for (uint32_t seat = 0; seat < number; ++seat) {
    CHECK(only_cpu_of(workers.id(seat)) == seats.cpu(seat));
    cpus.insert(seats.cpu(seat));
  }
  CHECK(cpus.size() == number);
}

TEST_CASE("a worker that takes over a seat is pinned to the CPU of its predecessor") {
  const uint32_t number = count(allowed_cpus());
  if (number == 1) return;
  Seats seats(number);
  const auto take = [&] {
    std::thread([&] {
      take_seat(seats.control, 0);
      CHECK(only_cpu_of(0) == seats.cpu(0));
    }).join();
    return seats.cpu(0);
  };
  const int32_t first = take();
  for (int32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    const cpu_set_t allowed = allowed_cpus();
    if (cpu == first || !CPU_ISSET(cpu, &allowed)) continue;
    seats.control.seats()[0].cpu = cpu;
    CHECK(take() == cpu);
    return;
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace tesserae::test
