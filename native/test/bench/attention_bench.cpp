// Times attention with threads that claim tiles from an atomic counter, as shares of the FMA peak and the read
// bandwidth probed in the same run. Usage: tesserae_native_attention_bench [threads] [name] [tile_queries].
// TESSERAE_ISA chooses the kernel set; the default is the best one.
#include <immintrin.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "../attention_case.h"
#include "chosen_kernels.h"
#include "kernels/probe_fma.h"

using namespace tesserae;
using namespace tesserae::attention_testing;

namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A group of threads, including the caller, that spin until the next round.
class Crew {
 public:
  explicit Crew(int threads) : threads_(threads) {
    for (int t = 1; t < threads; ++t) {
      helpers_.emplace_back([this, t] {
        for (int64_t round = 1;; ++round) {
          while (round_.load(std::memory_order_acquire) < round) _mm_pause();
          if (stop_) return;
          work_(t);
          done_.fetch_add(1, std::memory_order_release);
        }
      });
    }
  }
  ~Crew() {
    stop_ = true;
    round_.fetch_add(1, std::memory_order_release);
    for (std::thread& helper : helpers_) helper.join();
  }
  int threads() const { return threads_; }
  void run(std::function<void(int)> work) {
    work_ = std::move(work);
    done_.store(0, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    work_(0);
    while (done_.load(std::memory_order_acquire) < threads_ - 1) _mm_pause();
  }

 private:
  int threads_;
  std::vector<std::thread> helpers_;
  std::function<void(int)> work_;
  std::atomic<int64_t> round_{0};
  std::atomic<int> done_{0};
  bool stop_ = false;
};

std::atomic<float> sink;

double peak_gflops(Crew& crew) {
  constexpr int64_t kSteps = 1'000'000;
  static const Kernel kernel = kernel_of("probe_fma");
  const double start = now_ms();
  crew.run([](int) {
    float y[kProbeLanes];
    OpRecord op = {};
    *reinterpret_cast<ProbeFmaParams*>(op.params) = {y, kSteps, 1.0, 0.0};
    Scratch none = {nullptr, 0};
    kernel(op, 0, none);
  });
  return crew.threads() * (kSteps * 2.0 * kProbeLanes) / (now_ms() - start) / 1e6;
}

double read_gbytes(Crew& crew) {
  static std::vector<float> memory(size_t{64} << 20, 1.0f);
  const int64_t share = static_cast<int64_t>(memory.size()) / crew.threads();
  const double start = now_ms();
  crew.run([&](int t) {
    __m256 sums[4] = {};
    const float* p = memory.data() + t * share;
    for (int64_t i = 0; i < share; i += 32) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) sums[j] = _mm256_add_ps(sums[j], _mm256_loadu_ps(p + i + j * 8));
    }
    sink = _mm256_cvtss_f32(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
  });
  return static_cast<double>(memory.size()) * 4 / (now_ms() - start) / 1e6;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size()) / 2, values.end());
  return values[values.size() / 2];
}

struct Bench {
  const char* name;
  Shape shape;
  bool causal;
  bool gaps;
  bool half;
};

// With more than one copy the operands are used in turn, so that the caches do not contain them.
void run_bench(Crew& crew, const Bench& bench, int64_t tile_queries, int copies) {
  const Shape& s = bench.shape;
  const int64_t group = s.heads / s.kv_heads;
  tile_queries = std::min(tile_queries, s.q_len);
  std::vector<std::unique_ptr<Case>> cases;
  std::vector<std::unique_ptr<Operand<float>>> outs;
  std::vector<std::unique_ptr<OpRecord>> ops;
  for (int i = 0; i < copies; ++i) {
    cases.push_back(std::make_unique<Case>(s, bench.gaps));
    cases[i]->causal = bench.causal;
    if (bench.half) cases[i]->use_half();
    outs.push_back(std::make_unique<Operand<float>>(s.batch, s.heads, s.q_len, s.v_dim, bench.gaps, 0.0f));
    ops.push_back(std::make_unique<OpRecord>());
    const AttentionParams p = cases[i]->params(*outs[i], group, tile_queries);
    std::memcpy(ops[i]->params, &p, sizeof p);
  }
  const int64_t tiles = cases[0]->tile_count(group, tile_queries);
  std::vector<std::unique_ptr<unsigned char, decltype(&std::free)>> scratch;
  for (int t = 0; t < crew.threads(); ++t) {
    scratch.emplace_back(static_cast<unsigned char*>(std::aligned_alloc(4096, kScratchBytes)), &std::free);
    std::memset(scratch.back().get(), 0, kScratchBytes);
  }
  std::vector<double> times;
  std::vector<double> peaks;
  static const Kernel kernel = kernel_of("attention");
  const double begin = now_ms();
  for (int round = 0; round < 8 || (now_ms() - begin < 700 && round < 4000); ++round) {
    if (round % 16 == 0) peaks.push_back(peak_gflops(crew));
    const OpRecord& op = *ops[static_cast<size_t>(round % copies)];
    std::atomic<int64_t> next{0};
    const double start = now_ms();
    crew.run([&](int t) {
      Scratch mine = {scratch[static_cast<size_t>(t)].get(), kScratchBytes};
      for (int64_t tile; (tile = next.fetch_add(1, std::memory_order_relaxed)) < tiles;) kernel(op, tile, mine);
    });
    times.push_back(now_ms() - start);
  }
  const double ms = median(times);
  double pairs = static_cast<double>(s.q_len) * static_cast<double>(s.kv_len);
  if (bench.causal) pairs -= static_cast<double>(s.q_len) * static_cast<double>(s.q_len - 1) / 2;
  const double flops = 2 * pairs * static_cast<double>(s.dim + s.v_dim) * static_cast<double>(s.batch * s.heads);
  const double bytes = static_cast<double>(s.batch * s.kv_heads * s.kv_len * (s.dim + s.v_dim)) * (bench.half ? 2 : 4);
  std::printf("%-24s tiles %4lld x %3lld  %9.4f ms  %6.1f GFLOPS = %.3f of peak %.0f   K+V %.1f GB/s\n", bench.name,
              static_cast<long long>(tiles), static_cast<long long>(tile_queries), ms, flops / ms / 1e6,
              flops / ms / 1e6 / median(peaks), median(peaks), bytes / ms / 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  operand_shift = 0;  // aligned, like the memory of the tensor pool
  Crew crew(argc > 1 ? std::atoi(argv[1]) : 2);
  const std::string only = argc > 2 ? argv[2] : "";
  const int64_t tile_queries = argc > 3 ? std::atoll(argv[3]) : 0;
  const Bench benches[] = {
      {"full_128", {1, 12, 12, 128, 128, 64, 64}, false, false, false},
      {"full_8x128", {8, 12, 12, 128, 128, 64, 64}, false, false, false},
      {"full_8x128_fused", {8, 12, 12, 128, 128, 64, 64}, false, true, false},
      {"full_512", {1, 12, 12, 512, 512, 64, 64}, false, false, false},
      {"full_1024", {1, 12, 12, 1024, 1024, 64, 64}, false, false, false},
      {"full_1024_fused", {1, 12, 12, 1024, 1024, 64, 64}, false, true, false},
      {"full_2048", {1, 12, 12, 2048, 2048, 64, 64}, false, false, false},
      {"causal_128", {1, 12, 12, 128, 128, 64, 64}, true, false, false},
      {"causal_8x128", {8, 12, 12, 128, 128, 64, 64}, true, false, false},
      {"causal_512", {1, 12, 12, 512, 512, 64, 64}, true, false, false},
      {"causal_256", {1, 12, 12, 256, 256, 64, 64}, true, false, false},
      {"causal_1024", {1, 12, 12, 1024, 1024, 64, 64}, true, false, false},
      {"causal_1024_f16", {1, 12, 12, 1024, 1024, 64, 64}, true, false, true},
      {"causal_256_9_of_3", {1, 9, 3, 256, 256, 64, 64}, true, true, false},
      {"causal_1024_32_of_8", {1, 32, 8, 1024, 1024, 128, 128}, true, true, false},
      {"encoder_32x128_32wide", {32, 12, 12, 128, 128, 32, 32}, false, true, false},
      {"decode_2048", {1, 12, 12, 1, 2048, 64, 64}, true, false, false},
      {"decode_2048_f16", {1, 12, 12, 1, 2048, 64, 64}, true, false, true},
      {"decode_2048_9_of_3", {1, 9, 3, 1, 2048, 64, 64}, true, false, false},
      {"decode_2048_32_of_8", {1, 32, 8, 1, 2048, 128, 128}, true, false, false},
      {"decode_2048_32_of_4", {1, 32, 4, 1, 2048, 64, 64}, true, false, false},
      {"decode_256_9_of_3", {1, 9, 3, 1, 256, 64, 64}, true, false, false},
  };
  std::printf("threads %d  read %.1f GB/s\n", crew.threads(), (read_gbytes(crew), read_gbytes(crew)));
  for (const Bench& bench : benches) {
    if (!only.empty() && std::string(bench.name).rfind(only, 0) != 0) continue;
    const bool decode = bench.shape.q_len == 1;
    run_bench(crew, bench, tile_queries > 0 ? tile_queries : 128, decode ? 12 : 1);
  }
}
