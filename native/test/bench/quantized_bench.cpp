// Times the quantized matmul kernels, by hand: tesserae_native_quantized_bench [prefill|decode|rows|pack|all] [repeats]
// TESSERAE_ISA chooses the kernel set (default: the best one); TYPES chooses types, for example Q8_0,Q4_K. For rows:
// ROWS are numbers of rows (8,64), SHAPE the weights (k,n), MIB how much of them there is, THREADS 1 (default) or 2.
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels/matmul_quantized.h"
#include "kernels/pack_quantized.h"
#include "kernels/table.h"

using namespace tesserae;

namespace {

Isa chosen_isa() {
  const char* wanted = std::getenv("TESSERAE_ISA");
  Isa chosen = Isa::ref;
  for (const Isa isa : kAllIsas) {
    if (isa_supported(isa) && (wanted == nullptr || std::strcmp(kernel_set(isa).isa, wanted) == 0)) chosen = isa;
  }
  return chosen;
}

Kernel kernel_named(const char* name) {
  const Isa chosen = chosen_isa();
  for (uint32_t opcode = 0; opcode < kernel_count(); ++opcode) {
    if (std::strcmp(kernel_info(opcode).name, name) == 0) return kernel_set(chosen).kernels[opcode];
  }
  std::abort();
}

bool is_wanted(const char* type) {
  const char* wanted = std::getenv("TYPES");
  return wanted == nullptr || std::strstr(wanted, type) != nullptr;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The CPU time of this thread, which does not include other work on its core.
double thread_seconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

constexpr size_t kPageBytes = size_t{2} << 20;

struct Aligned {
  unsigned char* data;
  // On huge pages if the system has them, like the engine's pool.
  explicit Aligned(int64_t size_bytes)
      : data(static_cast<unsigned char*>(std::aligned_alloc(kPageBytes, round_up(size_bytes)))) {
    madvise(data, round_up(size_bytes), MADV_HUGEPAGE);
    std::memset(data, 0, round_up(size_bytes));
  }
  Aligned(const Aligned&) = delete;
  ~Aligned() { std::free(data); }
  static size_t round_up(int64_t bytes) { return (static_cast<size_t>(bytes) + kPageBytes - 1) / kPageBytes * kPageBytes; }
};

// GB/s of reading 128 MiB once with both threads.
[[gnu::noinline, gnu::target("avx2")]] void read_all(const unsigned char* from, int64_t bytes) {
  __m256i sum[4] = {};
  for (int64_t i = 0; i < bytes; i += 128) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      sum[v] = _mm256_xor_si256(sum[v], _mm256_load_si256(reinterpret_cast<const __m256i*>(from + i + v * 32)));
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) asm volatile("" : "+x"(sum[v]));
}

// Multiply-adds of the dot instruction of a set, in twelve independent sums. AVX2: vpmaddubsw and vpaddw.
constexpr int64_t kPeakSteps = 200'000;
constexpr int kPeakSums = 12;

[[gnu::noinline, gnu::target("avx512f,avx512vnni")]] void dot_avx512() {
  __m512i sum[kPeakSums] = {};
  __m512i codes = _mm512_set1_epi32(0x01020304);
  for (int64_t i = 0; i < kPeakSteps; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kPeakSums; ++s) sum[s] = _mm512_dpbusd_epi32(sum[s], codes, codes);
#pragma GCC unroll 12
    for (int s = 0; s < kPeakSums; ++s) asm volatile("" : "+v"(sum[s]));
  }
}

[[gnu::noinline, gnu::target("avx2,avxvnni")]] void dot_avx_vnni() {
  __m256i sum[kPeakSums] = {};
  __m256i codes = _mm256_set1_epi32(0x01020304);
  for (int64_t i = 0; i < kPeakSteps; ++i) {
#pragma GCC unroll 12
    for (int s = 0; s < kPeakSums; ++s) sum[s] = _mm256_dpbusd_avx_epi32(sum[s], codes, codes);
#pragma GCC unroll 12
    for (int s = 0; s < kPeakSums; ++s) asm volatile("" : "+x"(sum[s]));
  }
}

[[gnu::noinline, gnu::target("avx2")]] void dot_avx2() {
  __m256i sum[kPeakSums] = {};
  __m256i codes = _mm256_set1_epi32(0x01020304);
  for (int64_t i = 0; i < kPeakSteps; ++i) {
    asm volatile("" : "+x"(codes));
#pragma GCC unroll 12
    for (int s = 0; s < kPeakSums; ++s) sum[s] = _mm256_add_epi16(sum[s], _mm256_maddubs_epi16(codes, codes));
#pragma GCC unroll 12
    for (int s = 0; s < kPeakSums; ++s) asm volatile("" : "+x"(sum[s]));
  }
}

// Runs the dot instruction of the chosen set; returns the multiply-adds done.
double dot_many() {
  const Isa isa = chosen_isa();
  if (isa == Isa::avx512) dot_avx512();
  else if (isa == Isa::avx_vnni) dot_avx_vnni();
  else dot_avx2();
  return static_cast<double>(kPeakSteps * kPeakSums * (isa == Isa::avx512 ? 64 : 32));
}

// The seconds that work(worker) takes on `threads` threads (1 or 2).
template <typename Work>
double timed(int threads, Work work) {
  if (threads == 1) {
    const double start = thread_seconds();
    work(0);
    return thread_seconds() - start;
  }
  std::atomic<bool> ready{false}, go{false};
  std::thread other([&] {
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

struct Shape {
  int64_t m, k, n;
  int64_t copies;  // of the weights, with one product each, so that decoding reads them from memory, not from a cache
  int64_t tile_n = std::max<int64_t>(16, n / 16 / 32 * 32);
};

class Runner {
 public:
  Runner(QuantizedType type, const Shape& shape)
      : shape_(shape),
        format_(quantized_format(type)),
        image_bytes_(strip_count(shape.n) * strip_bytes(format_, shape.k)),
        image_(image_bytes_ * shape.copies),
        x_(shape.m * shape.k / kActivationBlock * static_cast<int64_t>(sizeof(ActivationBlock))),
        c_(shape.m * shape.n * 4) {
    for (int64_t i = 0; i < image_bytes_ * shape.copies; ++i) image_.data[i] = static_cast<unsigned char>(i * 37 >> 3 & 0x3b);
    auto* blocks = reinterpret_cast<ActivationBlock*>(x_.data);
    for (int64_t b = 0; b < shape.m * shape.k / kActivationBlock; ++b) {
      for (int64_t i = 0; i < kActivationBlock; ++i) blocks[b].values[i] = static_cast<int8_t>((b * 7 + i * 31) % 255 - 127);
      blocks[b].scale = 0.01f;
    }
    for (int i = 0; i < 2; ++i) scratch_.push_back(std::make_unique<Aligned>(kScratchBytes));
    for (int64_t copy = 0; copy < shape.copies; ++copy) {
      OpRecord op = {};
      auto& p = *reinterpret_cast<MatmulQuantizedParams*>(op.params);
      p.x = blocks, p.m = shape.m, p.k = shape.k, p.tile_m = std::min<int64_t>(shape.m, 256), p.targets = 1;
      QuantizedTarget& t = p.target[0];
      t.image = image_.data + copy * image_bytes_, t.c = reinterpret_cast<float*>(c_.data);
      t.type = static_cast<int64_t>(type), t.n = shape.n, t.c_rs = shape.n;
      t.tile_n = shape.tile_n;
      tiles_ = (shape.m + p.tile_m - 1) / p.tile_m * ((shape.n + t.tile_n - 1) / t.tile_n);
      ops_.push_back(op);
    }
  }

  double run(int threads) {
    std::atomic<int64_t> next{0};
    const Kernel kernel = kernel_named("matmul_quantized");
    return timed(threads, [&](int worker) {
      Scratch scratch = {scratch_[static_cast<size_t>(worker)]->data, kScratchBytes};
      for (int64_t i; (i = next.fetch_add(1)) < tiles_ * shape_.copies;) {
        kernel(ops_[static_cast<size_t>(i / tiles_)], i % tiles_, scratch);
      }
    });
  }

  double macs() const { return static_cast<double>(shape_.m * shape_.k * shape_.n * shape_.copies); }
  double bytes() const { return static_cast<double>(image_bytes_ * shape_.copies); }

 private:
  Shape shape_;
  const QuantizedFormat& format_;
  int64_t image_bytes_;
  Aligned image_, x_, c_;
  std::vector<std::unique_ptr<Aligned>> scratch_;
  std::vector<OpRecord> ops_;
  int64_t tiles_ = 0;
};

constexpr struct {
  const char* name;
  QuantizedType type;
} kTypes[] = {{"Q8_0", QuantizedType::q8_0}, {"Q4_0", QuantizedType::q4_0}, {"Q4_K", QuantizedType::q4_k},
              {"Q5_K", QuantizedType::q5_k}, {"Q6_K", QuantizedType::q6_k}, {"Q5_0", QuantizedType::q5_0},
              {"IQ4_XS", QuantizedType::iq4_xs}, {"Q3_K", QuantizedType::q3_k}, {"Q2_K", QuantizedType::q2_k},
              {"Q4_1", QuantizedType::q4_1}, {"Q5_1", QuantizedType::q5_1}, {"IQ4_NL", QuantizedType::iq4_nl}};

template <typename Measure>
double best_of(int repeats, Measure measure) {
  double best = 1e9;
  for (int i = 0; i < repeats; ++i) best = std::min(best, measure());
  return best;
}

void prefill(int repeats) {
  for (const auto& [name, type] : kTypes) {
    if (!is_wanted(name)) continue;
    const bool is_k = quantized_format(type).block_elements == 256;
    for (const Shape& shape : {Shape{256, is_k ? 512 : 576, 1536, 1}, Shape{256, 1536, 576, 1}, Shape{128, 2048, 8192, 1}}) {
      Runner runner(type, shape);
      const double one = best_of(repeats, [&] { return runner.run(1); });
      const double two = best_of(repeats, [&] { return runner.run(2); });
      std::printf("%-5s %3lld x %4lld -> %4lld   1 thread %6.1f GMAC/s   2 threads %6.1f GMAC/s\n", name,
                  static_cast<long long>(shape.m), static_cast<long long>(shape.k), static_cast<long long>(shape.n),
                  runner.macs() / one * 1e-9, runner.macs() / two * 1e-9);
      std::fflush(stdout);
    }
  }
}

void decode(int repeats) {
  const int64_t bytes = int64_t{128} << 20;
  Aligned memory(bytes);
  for (const auto& [name, type] : kTypes) {
    if (!is_wanted(name)) continue;
    for (int64_t m : {1, 4, 8}) {
      const int64_t row = quantized_format(type).block_bytes * 2048 / quantized_format(type).block_elements;
      Runner runner(type, {m, 2048, 2048, std::max<int64_t>(1, bytes / (row * 2048))});
      const double two = best_of(repeats, [&] { return runner.run(2); });
      const double plain = best_of(repeats, [&] {
        return timed(2, [&](int worker) { read_all(memory.data + worker * bytes / 2, bytes / 2); });
      });
      const double speed = runner.bytes() / two * 1e-9;
      const double bandwidth = static_cast<double>(bytes) / plain * 1e-9;
      std::printf("%-5s %lld x 2048 -> 2048   2 threads %5.1f GB/s of %5.1f = %.2f\n", name, static_cast<long long>(m), speed,
                  bandwidth, speed / bandwidth);
      std::fflush(stdout);
    }
  }
}

double median_of(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

std::vector<int64_t> numbers_of(const char* name, const char* otherwise) {
  const char* text = std::getenv(name);
  std::vector<int64_t> numbers;
  for (const char* at = text == nullptr ? otherwise : text; at != nullptr; at = std::strchr(at, ',')) {
    numbers.push_back(std::atoll(*at == ',' ? ++at : at));
  }
  return numbers;
}

// Products of 1 to 64 rows with weights in memory: medians of the speed, its share of the read bandwidth B and of the
// int8 peak, both probed beside each product, and of min(0.85 B, 0.62 of the peak), or 0.48 in types with a scale for 16
// weights.
void rows(int repeats) {
  const int64_t bytes = int64_t{128} << 20;
  Aligned memory(bytes);
  const std::vector<int64_t> shape = numbers_of("SHAPE", "2048,2048");
  const auto threads = static_cast<int>(numbers_of("THREADS", "1")[0]);
  for (const auto& [name, type] : kTypes) {
    if (!is_wanted(name)) continue;
    const QuantizedFormat& format = quantized_format(type);
    const int64_t k = shape[0] / format.block_elements * format.block_elements, n = shape[1];
    const int64_t weights = numbers_of("MIB", "128")[0] << 20;
    const int64_t copies = std::max<int64_t>(1, weights / (strip_count(n) * strip_bytes(format, k)));
    for (const int64_t m : numbers_of("ROWS", "1,2,3,4,6,8,12,16,24,32,48,64")) {
      Runner runner(type, {m, k, n, copies, std::max<int64_t>(32, n / 4 / 32 * 32)});
      std::vector<double> speed, of_bandwidth, of_peak, of_wanted;
      for (int i = 0; i < repeats; ++i) {
        const double plain = timed(threads, [&](int worker) {
          read_all(memory.data + worker * bytes / threads, bytes / threads);
        });
        double dots = 0;
        const double dotting = timed(threads, [&](int worker) {
          const double done = dot_many();
          if (worker == 0) dots = done * threads;
        });
        const double time = runner.run(threads);
        const double read = runner.bytes() / time / (static_cast<double>(bytes) / plain);
        const double computed = runner.macs() / time / (dots / dotting);
        speed.push_back(runner.macs() / time * 1e-9);
        of_bandwidth.push_back(read);
        of_peak.push_back(computed);
        of_wanted.push_back(std::max(read / 0.85, computed / (format.group == 16 ? 0.48 : 0.62)));
      }
      std::printf("%-6s %2lld x %4lld -> %5lld   %d thread%s %6.1f GMAC/s   %.2f of B   %.2f of the peak   "
                  "%.2f of what is wanted\n", name, static_cast<long long>(m), static_cast<long long>(k), static_cast<long long>(n), threads,
                  threads == 1 ? " " : "s", median_of(speed), median_of(of_bandwidth), median_of(of_peak),
                  median_of(of_wanted));
      std::fflush(stdout);
    }
  }
}

void pack(int repeats) {
  for (const auto& [name, type] : kTypes) {
    if (!is_wanted(name)) continue;
    const int64_t n = 2048, k = 2048;
    const QuantizedFormat& format = quantized_format(type);
    const int64_t bytes = n * (k / format.block_elements) * format.block_bytes;
    Aligned blocks(bytes), image(bytes + bytes / 16);
    OpRecord op = {};
    *reinterpret_cast<PackQuantizedParams*>(op.params) = {blocks.data, image.data, static_cast<int64_t>(type), n, k,
                                                          strip_count(n)};
    Scratch none = {nullptr, 0};
    const double one = best_of(repeats, [&] {
      const double start = thread_seconds();
      kernel_named("pack_quantized")(op, 0, none);
      return thread_seconds() - start;
    });
    std::printf("%-5s pack %lld x %lld   1 thread %6.2f GB/s\n", name, static_cast<long long>(n), static_cast<long long>(k),
                static_cast<double>(bytes) / one * 1e-9);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc > 1 ? argv[1] : "all";
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 5;
  if (kind == "prefill" || kind == "all") prefill(repeats);
  if (kind == "decode" || kind == "all") decode(repeats);
  if (kind == "rows" || kind == "all") rows(repeats);
  if (kind == "pack" || kind == "all") pack(repeats);
  return 0;
}
