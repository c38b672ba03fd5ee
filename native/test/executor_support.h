// Support for the executor's tests and benchmark: programs in plain memory, and a team of threads in place of the
// Piscina workers and the coordinator. A hang is aborted with a dump of the control block. Not for kernel tests, which
// call their kernel directly.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/executor.h"
#include "core/futex.h"
#include "kernels/checkpoint.h"
#include "kernels/scale.h"
#include "kernels/table.h"

namespace tesserae::test {

constexpr uint64_t kForeverNs = 3'600'000'000'000;

struct FreeBytes {
  void operator()(unsigned char* bytes) const { std::free(bytes); }
};
using Bytes = std::unique_ptr<unsigned char, FreeBytes>;

inline Bytes aligned_bytes(size_t size) {
  const size_t whole = (size + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
  return Bytes(static_cast<unsigned char*>(std::aligned_alloc(kCacheLineBytes, whole)));
}

inline Bytes zeroed_bytes(size_t size) {
  Bytes bytes = aligned_bytes(size);
  std::memset(bytes.get(), 0, size);
  return bytes;
}

// The number of rounds of a looping test: its default times TESSERAE_TEST_ROUNDS.
inline int rounds(int by_default) {
  const char* factor = std::getenv("TESSERAE_TEST_ROUNDS");
  return factor == nullptr ? by_default : by_default * std::atoi(factor);
}

inline uint32_t opcode_of(const char* name) {
  for (uint32_t opcode = 0; opcode < kernel_count(); ++opcode) {
    if (std::strcmp(kernel_info(opcode).name, name) == 0) return opcode;
  }
  std::abort();
}

// Blocks the tiles of a checkpoint op until it is open, and counts the tiles that were begun.
struct Gate {
  std::atomic<int32_t> arrived{0};
  std::atomic<int32_t> open{0};

  void await(int32_t tiles) const {
    while (arrived.load(std::memory_order_seq_cst) < tiles) std::this_thread::yield();
  }
};

// Records ops and writes them into memory as src/program/compiled-program.ts does.
class TestProgram {
 public:
  // y = x · factor over rows × columns, `tile_rows` rows a tile.
  struct Scale {
    const float* x;
    float* y;
    double factor;
    int64_t rows;
    int64_t columns;
    int64_t tile_rows;
  };

  TestProgram& scale(const Scale& op, uint32_t after) {
    ScaleParams params = {};
    params.x = op.x;
    params.y = op.y;
    params.factor = op.factor;
    params.columns = op.columns;
    params.tile_rows = op.tile_rows;
    params.outer = {{1, 1, 1, op.rows}};
    params.x_outer = {{0, 0, 0, op.columns}};
    params.y_outer = {{0, 0, 0, op.columns}};
    const auto tiles = static_cast<uint32_t>((op.rows + op.tile_rows - 1) / op.tile_rows);
    return add("scale", params, tiles, after);
  }

  TestProgram& checkpoint(Gate& gate, uint32_t tiles, uint32_t after, CheckpointMode mode = CheckpointMode::wait) {
    const CheckpointParams params = {&gate.arrived, &gate.open, static_cast<int64_t>(mode)};
    return add("checkpoint", params, tiles, after);
  }

  // An op of `tiles` tiles that do nothing. 2^31 of them keep a worker busy for longer than any test.
  TestProgram& idle_tiles(uint32_t tiles, uint32_t after) {
    ScaleParams params = {};
    params.outer = {{1, 1, 1, 0}};
    return add("scale", params, tiles, after);
  }

  // Writes the program into memory; its first run has number `run`.
  TestProgram& build(uint64_t run = 0) {
    const auto op_count = static_cast<uint32_t>(records_.size());
    memory_ = zeroed_bytes(program_bytes(op_count));
    header_ = reinterpret_cast<ProgramHeader*>(memory_.get());
    header_->op_count = op_count;
    header_->run = run;
    header_->prefix.store(run * op_count, std::memory_order_relaxed);
    uint32_t tiles = 0;
    for (uint32_t op = 0; op < op_count; ++op) {
      header_->records()[op] = records_[op];
      header_->records()[op].first_tile = tiles;
      tiles += records_[op].tile_count;
      header_->counters()[op].claimed.store(run * records_[op].tile_count, std::memory_order_relaxed);
      header_->counters()[op].done.store(run * records_[op].tile_count, std::memory_order_relaxed);
    }
    return *this;
  }

  ProgramHeader& header() { return *header_; }
  uint32_t op_count() const { return static_cast<uint32_t>(records_.size()); }

 private:
  template <typename Params>
  TestProgram& add(const char* name, const Params& params, uint32_t tiles, uint32_t after) {
    OpRecord record = {};
    record.opcode = opcode_of(name);
    record.tile_count = tiles;
    record.after = after;
    std::memcpy(record.params, &params, sizeof(params));
    records_.push_back(record);
    return *this;
  }

  std::vector<OpRecord> records_;
  Bytes memory_;
  ProgramHeader* header_ = nullptr;
};

inline void dump(Control& control) {
  std::fprintf(stderr, "control: closing %u bell %u sleepers %u live %#llx endings %u\n", control.closing.load(),
               control.bell.load(), control.sleepers.load(), static_cast<unsigned long long>(control.live.load()),
               control.endings.load());
  for (uint32_t index = 0; index < kSlots; ++index) {
    const Slot& slot = control.slots[index];
    auto* program = reinterpret_cast<ProgramHeader*>(slot.program.load());
    if (program == nullptr && slot.visitors.load() == 0) continue;
    std::fprintf(stderr, "slot %u: visitors %u cancelled %u failure %#llx run %llu\n", index, slot.visitors.load(),
                 slot.cancelled.load(), static_cast<unsigned long long>(slot.failure.load()),
                 static_cast<unsigned long long>(slot.run));
    if (program == nullptr) continue;
    const uint64_t complete = program->prefix.load() - slot.run * program->op_count;
    std::fprintf(stderr, "  %llu of %u ops complete\n", static_cast<unsigned long long>(complete), program->op_count);
    for (uint64_t op = complete; op < program->op_count && op < complete + 4; ++op) {
      const uint64_t first = slot.run * program->records()[op].tile_count;
      std::fprintf(stderr, "  op %llu: after %u, claimed %lld done %lld of %u tiles\n",
                   static_cast<unsigned long long>(op), program->records()[op].after,
                   static_cast<long long>(program->counters()[op].claimed.load() - first),
                   static_cast<long long>(program->counters()[op].done.load() - first),
                   program->records()[op].tile_count);
    }
  }
  for (uint32_t index = 0; index < control.seat_count; ++index) {
    const Seat& seat = control.seats()[index];
    std::fprintf(stderr, "seat %u: state %u inside %u spin %u ns sleeps %llu\n", index, seat.state.load(),
                 seat.inside.load(), seat.spin_ns, static_cast<unsigned long long>(seat.sleeps.load()));
  }
}

// The coordinator, with a pool of threads instead of Piscina's: any free thread takes the next seat that was called.
class Team {
 public:
  struct Options {
    uint32_t seats = 2;
    uint64_t linger_ns = kForeverNs;
    uint32_t idle_spin_ns = 0;
    Isa isa = Isa::ref;
    int watchdog_seconds = 60;
  };

  explicit Team(const Options& options)
      : memory_(zeroed_bytes(control_bytes(options.seats))),
        scratch_(aligned_bytes((options.seats + 1) * kScratchBytes)),
        control_(*reinterpret_cast<Control*>(memory_.get())) {
    control_init(control_, {static_cast<uint32_t>(options.isa), options.seats, options.idle_spin_ns, options.linger_ns,
                            scratch_.get()});
    for (uint32_t i = 0; i < options.seats; ++i) threads_.emplace_back([this] { serve(); });
    watchdog_ = std::thread([this, options] { watch(options.watchdog_seconds); });
  }

  ~Team() {
    close_team(control_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    watchdog_.join();
  }

  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  Control& control() { return control_; }

  void call_seats() {
    for (uint32_t seat = 0; seat < control_.seat_count; ++seat) {
      if (!call_to_shift(control_, seat)) continue;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        called_.push_back(seat);
      }
      changed_.notify_all();
    }
  }

  void start(TestProgram& program, uint32_t slot) {
    publish(control_, slot, program.header());
    call_seats();
  }

  // Waits like Atomics.waitAsync: on `endings`, and only while it has the value that was read before looking at the
  // run.
  RunState wait(TestProgram& program, uint32_t slot) {
    for (;;) {
      const uint32_t endings = control_.endings.load(std::memory_order_seq_cst);
      const RunState state = run_state(control_, slot, program.header());
      if (state != RunState::running) return state;
      futex_wait(control_.endings, endings, static_cast<int64_t>(kForeverNs));
    }
  }

  RunState run(TestProgram& program, uint32_t slot) {
    start(program, slot);
    const RunState state = wait(program, slot);
    end(program, slot);
    return state;
  }

  // Retires the program and waits until its memory may be freed.
  void end(TestProgram& program, uint32_t slot) {
    retire(control_, slot, program.header());
    await_free(slot);
  }

  void await_free(uint32_t slot) {
    while (!slot_is_free(control_, slot)) std::this_thread::yield();
  }

  void await_all_free() {
    for (uint32_t slot = 0; slot < kSlots; ++slot) await_free(slot);
  }

  uint32_t take_free_slot(uint32_t from = 0) {
    for (uint32_t slot = from;; slot = (slot + 1) % kSlots) {
      if (slot_is_free(control_, slot)) return slot;
    }
  }

  // Waits until every worker is back in the pool.
  void await_all_away() {
    for (uint32_t seat = 0; seat < control_.seat_count; ++seat) {
      while (control_.seats()[seat].state.load() != static_cast<uint32_t>(SeatState::away)) std::this_thread::yield();
    }
  }

  void await_sleepers(uint32_t count) {
    while (control_.sleepers.load() != count) std::this_thread::yield();
  }

  // Waits until a worker died and returns its seat. Replaces the thread, as Piscina does.
  uint32_t await_death() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !dead_seats_.empty(); });
    const uint32_t seat = dead_seats_.front();
    dead_seats_.pop_front();
    threads_.emplace_back([this] { serve(); });
    return seat;
  }

  // The number of tiles that the team has computed with one kernel.
  uint64_t tiles_done(const char* op) {
    uint64_t sum = 0;
    for (uint32_t seat = 0; seat <= control_.seat_count; ++seat) {
      sum += control_.seats()[seat].op_tiles[opcode_of(op)].load();
    }
    return sum;
  }

  std::atomic<uint64_t> yields{0};
  std::atomic<uint64_t> shifts_left{0};

 private:
  // A Piscina worker: takes a called seat and stays on it until the shift is over.
  void serve() {
    for (;;) {
      uint32_t seat = 0;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !called_.empty(); });
        if (called_.empty()) return;
        seat = called_.front();
        called_.pop_front();
      }
      if (!stay(seat)) return;
    }
  }

  // One shift of a worker, as workers/shift.ts does it. Returns false if the thread must end.
  bool stay(uint32_t seat) {
    for (;;) {
      switch (work(control_, seat)) {
        case WorkResult::ended:
          futex_wake(control_.endings, 1);
          break;
        case WorkResult::yielded:
          ++yields;
          break;
        case WorkResult::left:
          ++shifts_left;
          return true;
        case WorkResult::abandoned: {
          std::lock_guard<std::mutex> lock(mutex_);
          dead_seats_.push_back(seat);
          changed_.notify_all();
          return false;
        }
      }
    }
  }

  void watch(int seconds) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto limit = std::chrono::seconds(rounds(seconds));
    if (changed_.wait_for(lock, limit, [this] { return stopping_; })) return;
#ifdef DOCTEST_VERSION
    std::fprintf(stderr, "%s:\n", doctest::getContextOptions()->currentTest->m_name);
#endif
    std::fprintf(stderr, "the team hangs\n");
    dump(control_);
    std::_Exit(1);
  }

  Bytes memory_;
  Bytes scratch_;
  Control& control_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<uint32_t> called_;
  std::deque<uint32_t> dead_seats_;
  std::vector<std::thread> threads_;
  std::thread watchdog_;
  bool stopping_ = false;
};

// A program of `chains` interleaved chains of scale ops; ops of different chains may overlap. Each op doubles or
// halves the output of the one before it, so that the results are right only if every op ran once, in order, on this
// run's input.
class Cascade {
 public:
  struct Options {
    uint32_t chains = 1;
    uint32_t length = 8;
    int64_t rows = 8;
    int64_t columns = 5;
    int64_t tile_rows = 1;
    uint64_t first_run = 0;
  };

  explicit Cascade(const Options& options)
      : options_(options), cells_(static_cast<size_t>(options.rows * options.columns)),
        values_(cells_ * options.chains * (options.length + 1)) {
    for (uint32_t step = 0; step < options.length; ++step) {
      for (uint32_t chain = 0; chain < options.chains; ++chain) {
        const uint32_t op = step * options.chains + chain;
        const double factor = step % 2 == 0 ? 2 : 0.5;
        // Waits for the op of its own chain one step before, and so for all ops up to that one.
        const uint32_t after = step == 0 ? 0 : op - options.chains + 1;
        program.scale({at(chain, step), at(chain, step + 1), factor, options.rows, options.columns, options.tile_rows},
                      after);
      }
    }
    program.build(options.first_run);
  }

  uint64_t tiles() const {
    return options_.chains * options_.length *
           static_cast<uint64_t>((options_.rows + options_.tile_rows - 1) / options_.tile_rows);
  }

  // Sets the input, and sets the last outputs to a value that no run computes.
  void prepare(float seed) {
    seed_ = seed;
    for (uint32_t chain = 0; chain < options_.chains; ++chain) {
      for (size_t i = 0; i < cells_; ++i) at(chain, 0)[i] = seed + static_cast<float>(chain * cells_ + i);
      for (size_t i = 0; i < cells_; ++i) at(chain, options_.length)[i] = -1;
    }
  }

  bool right() {
    const float factor = options_.length % 2 == 0 ? 1 : 2;
    for (uint32_t chain = 0; chain < options_.chains; ++chain) {
      for (size_t i = 0; i < cells_; ++i) {
        if (at(chain, options_.length)[i] != factor * (seed_ + static_cast<float>(chain * cells_ + i))) return false;
      }
    }
    return true;
  }

  TestProgram program;

 private:
  float* at(uint32_t chain, uint32_t step) {
    return values_.data() + cells_ * (chain * (options_.length + 1) + step);
  }

  Options options_;
  size_t cells_;
  std::vector<float> values_;
  float seed_ = 0;
};

}  // namespace tesserae::test
