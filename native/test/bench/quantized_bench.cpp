// Times the quantized matmul kernels on one and two threads: multiply-adds per second with many rows of activations,
// bytes of weights per second with few. Not a test; run by hand:
//   tesserae_native_quantized_bench [prefill|decode|pack|all] [repeats]
// TESSERAE_ISA chooses the kernel set (default: the best one); TYPES chooses types, for example Q8_0,Q4_K.
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

Kernel kernel_named(const char* name) {
  const char* wanted = std::getenv("TESSERAE_ISA");
  Isa chosen = Isa::ref;
  for (const Isa isa : kAllIsas) {
    if (isa_supported(isa) && (wanted == nullptr || std::strcmp(kernel_set(isa).isa, wanted) == 0)) chosen = isa;
  }
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
      t.tile_n = std::max<int64_t>(16, shape.n / 16 / 32 * 32);
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
              {"IQ4_XS", QuantizedType::iq4_xs}, {"Q3_K", QuantizedType::q3_k}, {"Q2_K", QuantizedType::q2_k}};

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
      pack_quantized_avx2(op, 0, none);
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
  if (kind == "pack" || kind == "all") pack(repeats);
  return 0;
}
