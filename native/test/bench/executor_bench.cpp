// Times the executor with nearly empty tiles: the overhead of a tile, an op and a dispatch. Not a test; run by hand:
// tesserae_native_executor_bench [repeats].
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>

#include "../executor_support.h"

namespace tesserae::test {
namespace {

double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// A chain of ops with `tiles` tiles each; a tile is a row of 64 numbers.
class Chain {
 public:
  Chain(uint32_t ops, uint32_t tiles) : ops_(ops), tiles_(tiles), values_(tiles * 64) {
    for (uint32_t op = 0; op < ops; ++op) {
      program.scale({values_.data(), values_.data(), 1.0, static_cast<int64_t>(tiles), 64, 1}, op);
    }
    program.build();
  }

  uint32_t ops() const { return ops_; }
  uint64_t tiles() const { return uint64_t{ops_} * tiles_; }

  TestProgram program;

 private:
  uint32_t ops_;
  uint32_t tiles_;
  std::vector<float> values_;
};

// The time from publish until the coordinator sees the end, without waiting for the slot to be free.
double dispatch_us(Team& team, Chain& chain) {
  const double start = now_us();
  team.start(chain.program, 0);
  team.wait(chain.program, 0);
  const double took = now_us() - start;
  team.end(chain.program, 0);
  return took;
}

double inline_us(Team& team, Chain& chain) {
  const double start = now_us();
  run_inline(team.control(), chain.program.header());
  return now_us() - start;
}

// The time that the machine needs to wake a thread and to be woken by it: a lower bound for a dispatch.
class PingPong {
 public:
  PingPong() : thread_([this] { answer(); }) {}
  ~PingPong() {
    stop_ = true;
    call_us();
    thread_.join();
  }

  double call_us() {
    const double start = now_us();
    const uint32_t before = pong_.load();
    ping_.fetch_add(1);
    futex_wake(ping_, 1);
    while (pong_.load() == before) futex_wait(pong_, before, static_cast<int64_t>(kForeverNs));
    return now_us() - start;
  }

 private:
  void answer() {
    uint32_t seen = 0;
    while (!stop_) {
      while (ping_.load() == seen) futex_wait(ping_, seen, static_cast<int64_t>(kForeverNs));
      seen = ping_.load();
      pong_.fetch_add(1);
      futex_wake(pong_, 1);
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> ping_{0};
  std::atomic<uint32_t> pong_{0};
  std::thread thread_;
};

struct Row {
  std::string name;
  double divisor;
  const char* unit;
  std::function<double()> sample_us;
  std::vector<double> samples;
};

void bench(int repeats) {
  Team::Options one_seat;
  one_seat.seats = 1;
  Team one(one_seat);
  Team two({});
  Chain many_tiles(1, 100'000);
  Chain single(1, 1);
  Chain pair(1, 2);
  Chain chain_1(200, 1);
  Chain chain_2(200, 2);
  Chain chain_8(200, 8);
  PingPong ping_pong;

  std::vector<Row> rows;
  const auto per_op = [&rows](const char* name, Chain& chain, std::function<double()> sample) {
    rows.push_back({name, chain.ops() / 1e3, "ns an op", std::move(sample), {}});
  };
  const auto per_tile = [&rows](const char* name, Chain& chain, std::function<double()> sample) {
    rows.push_back({name, static_cast<double>(chain.tiles()) / 1e3, "ns a tile", std::move(sample), {}});
  };
  const auto per_call = [&rows](const char* name, std::function<double()> sample) {
    rows.push_back({name, 1, "us", std::move(sample), {}});
  };
  per_tile("100000 tiles, inline", many_tiles, [&] { return inline_us(one, many_tiles); });
  per_tile("100000 tiles, 1 worker", many_tiles, [&] { return dispatch_us(one, many_tiles); });
  per_tile("100000 tiles, 2 workers", many_tiles, [&] { return dispatch_us(two, many_tiles); });
  per_op("200 ops of 1 tile, inline", chain_1, [&] { return inline_us(one, chain_1); });
  per_op("200 ops of 1 tile, 1 worker", chain_1, [&] { return dispatch_us(one, chain_1); });
  per_op("200 ops of 1 tile, 2 workers", chain_1, [&] { return dispatch_us(two, chain_1); });
  per_op("200 ops of 2 tiles, 1 worker", chain_2, [&] { return dispatch_us(one, chain_2); });
  per_op("200 ops of 2 tiles, 2 workers", chain_2, [&] { return dispatch_us(two, chain_2); });
  per_op("200 ops of 8 tiles, 1 worker", chain_8, [&] { return dispatch_us(one, chain_8); });
  per_op("200 ops of 8 tiles, 2 workers", chain_8, [&] { return dispatch_us(two, chain_8); });
  per_call("futex there and back", [&] { return ping_pong.call_us(); });
  per_call("dispatch of 1 tile, 1 worker", [&] { return dispatch_us(one, single); });
  per_call("dispatch of 1 tile, 2 workers", [&] { return dispatch_us(two, single); });
  per_call("dispatch of 2 tiles, 2 workers", [&] { return dispatch_us(two, pair); });

  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (Row& row : rows) {
      // Several samples in a row; the first is dropped, since it depends on the row before.
      for (int i = 0; i < 4; ++i) {
        const double sample = row.sample_us();
        if (i > 0) row.samples.push_back(sample / row.divisor);
      }
    }
  }
  for (const Row& row : rows) std::printf("%-34s %9.1f %s\n", row.name.c_str(), median(row.samples), row.unit);
}

}  // namespace
}  // namespace tesserae::test

int main(int argc, char** argv) {
  tesserae::test::bench(argc > 1 ? std::atoi(argv[1]) : 50);
  return 0;
}
