// Times the matmul kernels on one and two threads, beside the FMA peak and read bandwidth probed in the same run:
//   tesserae_native_bench [square|large|layouts|rows|thin|panels…|all] [repeats]      panels_576_f16 is a part of panels
//   tesserae_native_bench shape repeats m n k path tile_m tile_n [a b f16]      a, b: 1 if stored transposed
// TESSERAE_ISA chooses the kernel set (default: the best one); BLOCKS=kc,nc,mc sets the block sizes. Run by hand.
#include <immintrin.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "chosen_kernels.h"
#include "kernels/matmul.h"
#include "kernels/pack_b.h"
#include "kernels/probe_fma.h"

using namespace tesserae;

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Pins the calling thread to one CPU: otherwise both threads share one now and then.
void stay_on(int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
}

struct Aligned {
  void* data;
  explicit Aligned(size_t size_bytes) {
    const size_t unit = size_bytes >= kHugePage ? kHugePage : 64;
    const size_t whole = (size_bytes + unit - 1) / unit * unit;
    data = std::aligned_alloc(unit, whole);
    if (unit == kHugePage) madvise(data, whole, MADV_HUGEPAGE);  // as the engine does
    std::memset(data, 0, whole);
  }
  static constexpr size_t kHugePage = size_t{2} << 20;
  Aligned(const Aligned&) = delete;
  ~Aligned() { std::free(data); }
  float* floats() const { return static_cast<float*>(data); }
  void randomize(size_t count) const {
    uint32_t state = 12345;
    for (size_t i = 0; i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      floats()[i] = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
    }
  }
};

BlockSizes chosen_blocks() {
  BlockSizes blocks = kDefaultBlockSizes;
  long long kc, nc, mc;
  const char* wanted = std::getenv("BLOCKS");
  if (wanted && std::sscanf(wanted, "%lld,%lld,%lld", &kc, &nc, &mc) == 3) blocks = {kc, nc, mc};
  return blocks;
}

// The peak: GFLOPS of independent FMAs.
double probe_peak() {
  static const Kernel kernel = kernel_of("probe_fma");
  float y[kProbeLanes];
  OpRecord op = {};
  *reinterpret_cast<ProbeFmaParams*>(op.params) = {y, 400000, 1.0, 0.0};
  Scratch none = {nullptr, 0};
  const double start = seconds();
  kernel(op, 0, none);
  return 400000.0 * kProbeLanes * 2 / (seconds() - start) * 1e-9;
}

// GB/s of reading 128 MiB once, four cache lines a step.
[[gnu::noinline, gnu::target("avx2")]] double probe_bandwidth(const Aligned& memory) {
  const size_t count = (size_t{128} << 20) / 4;
  const float* from = memory.floats();
  __m256 sum[8];
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) sum[v] = _mm256_setzero_ps();
  const double start = seconds();
  for (size_t i = 0; i < count; i += 64) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) sum[v] = _mm256_xor_ps(sum[v], _mm256_load_ps(from + i + v * 8));
  }
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) asm volatile("" : "+x"(sum[v]));
  return static_cast<double>(count) * 4 / (seconds() - start) * 1e-9;
}

int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

struct Problem {
  std::string name;
  int64_t m, n, k;
  MatmulPath path;
  int64_t tile_m, tile_n;
  bool b_is_columns = false;  // B stored [n, k]
  bool is_f16 = false;
  bool a_is_columns = false;
  bool is_packed = false;  // B is packed before the time is taken, as the weights of a model are
  bool reads() const { return path == MatmulPath::thin || is_packed; }  // the time is that of reading the wide operand
};

class Runner {
 public:
  explicit Runner(const Problem& problem)
      : problem_(problem),
        a_(static_cast<size_t>(problem.m * problem.k * 4)),
        b_(static_cast<size_t>(problem.k * problem.n * 4)),
        c_(static_cast<size_t>(problem.m * problem.n * 4)),
        packed_(static_cast<size_t>(packed_image_elements(problem.k, problem.n) * 4)) {
    a_.randomize(static_cast<size_t>(problem.m * problem.k));
    if (!problem.is_f16) b_.randomize(static_cast<size_t>(problem.k * problem.n));
    for (int i = 0; i < 2; ++i) scratch_.push_back(std::make_unique<Aligned>(kScratchBytes));
    auto& p = *reinterpret_cast<MatmulParams*>(op_.params);
    p.a = a_.floats(), p.b = b_.data, p.c = c_.floats(), p.packed_b = packed_.floats();
    p.m = problem.m, p.n = problem.n, p.k = problem.k;
    p.a_rs = problem.a_is_columns ? 1 : p.k, p.a_cs = problem.a_is_columns ? p.m : 1;
    p.b_rs = problem.b_is_columns ? 1 : p.n, p.b_cs = problem.b_is_columns ? p.k : 1;
    p.c_rs = p.n;
    p.b_dtype = static_cast<int64_t>(problem.is_f16 ? DType::f16 : DType::f32);
    p.path = static_cast<int64_t>(problem.path);
    p.tile_m = problem.tile_m ? problem.tile_m : p.m;
    p.tile_n = problem.tile_n ? problem.tile_n : p.n;
    p.tile_batches = 1;
    p.blocks = chosen_blocks();
    p.batch = {{1, 1, 1, 1}};
    tiles_ = ceil_div(p.m, p.tile_m) * ceil_div(p.n, p.tile_n);
    auto& q = *reinterpret_cast<PackBParams*>(pack_op_.params);
    q.b = p.b, q.packed = packed_.floats(), q.k = p.k, q.n = p.n, q.b_rs = p.b_rs, q.b_cs = p.b_cs;
    q.b_dtype = p.b_dtype, q.tile_panels = 8, q.kc = p.blocks.kc, q.batch = p.batch;
    pack_tiles_ = k_block_count(p.k, p.blocks.kc) * ceil_div(panel_count(p.n), q.tile_panels);
    if (!problem.is_packed) return;
    Scratch scratch = {static_cast<unsigned char*>(scratch_[0]->data), kScratchBytes};
    for (int64_t tile = 0; tile < pack_tiles_; ++tile) pack_(pack_op_, tile, scratch);
    pack_tiles_ = 0;
  }

  // Seconds of one run.
  double run(int threads) {
    std::atomic<int64_t> next_pack{0}, packed{0}, next{0};
    const auto work = [&](int worker) {
      Scratch scratch = {static_cast<unsigned char*>(scratch_[static_cast<size_t>(worker)]->data), kScratchBytes};
      if (problem_.path == MatmulPath::shared_pack) {
        for (int64_t tile; (tile = next_pack.fetch_add(1)) < pack_tiles_;) {
          pack_(pack_op_, tile, scratch);
          packed.fetch_add(1);
        }
        while (packed.load() < pack_tiles_) _mm_pause();
      }
      for (int64_t tile; (tile = next.fetch_add(1)) < tiles_;) matmul_(op_, tile, scratch);
    };
    if (threads == 1) {
      const double start = seconds();
      work(0);
      return seconds() - start;
    }
    std::atomic<bool> ready{false}, go{false};
    std::thread other([&] {
      stay_on(1);
      ready = true;
      while (!go) _mm_pause();
      work(1);
    });
    while (!ready) _mm_pause();
    const double start = seconds();
    go = true;
    work(0);
    other.join();
    return seconds() - start;
  }

  double flops() const { return 2.0 * static_cast<double>(problem_.m * problem_.n * problem_.k); }
  double wide_bytes() const {
    const int64_t wide = problem_.m <= kThinMax || problem_.is_packed ? problem_.n : problem_.m;
    return static_cast<double>(problem_.k) * static_cast<double>(wide) * (problem_.is_f16 ? 2 : 4);
  }
  int64_t tiles() const { return tiles_; }

 private:
  Problem problem_;
  Kernel matmul_ = kernel_of("matmul"), pack_ = kernel_of("pack_b");
  Aligned a_, b_, c_, packed_;
  std::vector<std::unique_ptr<Aligned>> scratch_;
  OpRecord op_ = {};
  OpRecord pack_op_ = {};
  int64_t tiles_ = 0, pack_tiles_ = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<Problem> problems(const std::string& kind) {
  std::vector<Problem> list;
  const auto local = MatmulPath::local_pack;
  const auto shared = MatmulPath::shared_pack;
  const auto thin = MatmulPath::thin;
  if (kind == "square" || kind == "all") {
    list.push_back({"square_128", 128, 128, 128, local, 0, 32});
    list.push_back({"square_256", 256, 256, 256, local, 0, 32});
    list.push_back({"square_511", 511, 511, 511, local, 0, 64});
    list.push_back({"square_512", 512, 512, 512, local, 0, 64});
    list.push_back({"square_1000", 1000, 1000, 1000, local, 0, 64});
    list.push_back({"square_1024", 1024, 1024, 1024, local, 0, 64});
    list.push_back({"square_1024_shared", 1024, 1024, 1024, shared, 258, 128});
    list.push_back({"square_2048", 2048, 2048, 2048, shared, 258, 128});
  }
  if (kind == "large" || kind == "all") list.push_back({"square_4096", 4096, 4096, 4096, shared, 258, 128});
  if (kind == "layouts" || kind == "all") {
    for (const bool a : {false, true}) {
      for (const bool b : {false, true}) {
        const std::string name = std::string(a ? "aT" : "a") + (b ? "_bT" : "_b");
        list.push_back({name + "_1024_local", 1024, 1024, 1024, local, 0, 64, b, false, a});
        list.push_back({name + "_1024_shared", 1024, 1024, 1024, shared, 258, 128, b, false, a});
      }
    }
    list.push_back({"f16_bT_1024_local", 1024, 1024, 1024, local, 0, 64, true, true});
  }
  if (kind == "rows" || kind == "all") {
    for (const int64_t m : {4, 6, 8, 12, 16, 24, 32, 64, 128}) {
      for (const bool b : {false, true}) {
        const std::string name = "rows_" + std::to_string(m) + (b ? "_bT" : "_b");
        if (m <= kThinMax) list.push_back({name + "_thin", m, 1024, 1024, thin, 0, 256, b});
        list.push_back({name + "_local", m, 1024, 1024, local, 0, 64, b});
      }
    }
  }
  if (kind.rfind("panels", 0) == 0 || kind == "all") {
    for (const bool f16 : {false, true}) {
      for (const int64_t m : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}) {
        for (const int64_t k : {576, 2048}) {
          const std::string name = "panels_" + std::to_string(k) + (f16 ? "_f16_" : "_f32_") + std::to_string(m);
          if (kind != "all" && name.rfind(kind, 0) != 0) continue;
          list.push_back({name, m, (int64_t{1} << 25) / k / 384 * 384, k, shared, 0, 384, false, f16, false, true});
        }
      }
    }
  }
  if (kind == "thin" || kind == "all") {
    for (const int64_t m : {1, 2, 4, 8}) {
      for (const bool b : {false, true}) {
        for (const bool f16 : {false, true}) {
          const std::string name = "thin_" + std::to_string(m) + (b ? "_columns" : "_rows") + (f16 ? "_f16" : "_f32");
          list.push_back({name, m, 4096, 4096, thin, 0, 512, b, f16});
        }
      }
    }
    list.push_back({"thin_mirrored_1", 4096, 1, 4096, thin, 512, 0});
    list.push_back({"thin_mirrored_8", 4096, 8, 4096, thin, 512, 0});
  }
  return list;
}

std::vector<Problem> one_problem(int argc, char** argv) {
  const auto number = [&](int i) { return i < argc ? std::atoll(argv[i]) : 0; };
  return {{"shape", number(3), number(4), number(5), static_cast<MatmulPath>(number(6)), number(7), number(8),
           number(10) != 0, number(11) != 0, number(9) != 0}};
}

}  // namespace

int main(int argc, char** argv) {
  stay_on(0);
  const std::string kind = argc > 1 ? argv[1] : "all";
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 9;
  const Aligned memory(size_t{128} << 20);
  for (const Problem& problem : kind == "shape" ? one_problem(argc, argv) : problems(kind)) {
    Runner runner(problem);
    runner.run(1);
    // Short problems are run many times in a row. Probes and runs alternate, so that both see the same machine state.
    const int inner = static_cast<int>(std::clamp(2e9 / runner.flops() / (problem.reads() ? 20 : 1), 1.0, 2000.0));
    std::vector<double> peak, bandwidth, one, two;
    for (int r = 0; r < repeats; ++r) {
      peak.push_back(probe_peak());
      if (problem.reads()) bandwidth.push_back(probe_bandwidth(memory));
      double best[2] = {};
      for (int threads = 1; threads <= 2; ++threads) {
        std::vector<double> times;
        for (int i = 0; i < inner; ++i) times.push_back(runner.run(threads));
        best[threads - 1] = median(times);
      }
      one.push_back(best[0]);
      two.push_back(best[1]);
    }
    const double p = median(peak);
    std::printf("%-22s tiles %4lld  P %6.1f  1 thread %8.1f us %6.1f GFLOPS %.3f P  2 threads x %.2f",
                problem.name.c_str(), static_cast<long long>(runner.tiles()), p, median(one) * 1e6, runner.flops() / median(one) * 1e-9,
                runner.flops() / median(one) * 1e-9 / p, median(one) / median(two));
    if (problem.reads()) {
      const double b = median(bandwidth), first = runner.wide_bytes() / median(one) * 1e-9;
      std::printf("  %5.1f and %5.1f GB/s, of %5.1f = %.3f", first, runner.wide_bytes() / median(two) * 1e-9, b, first / b);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
}
