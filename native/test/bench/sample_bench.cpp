// Times sample on one thread: for each kernel set the microseconds of a row, the best of many, by options and by how
// the logits are spread. Run by hand: tesserae_native_sample_bench [vocabulary [part of the name of the options]].
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/sample.h"
#include "kernels/table.h"

using namespace tesserae;

namespace {

constexpr int kRepeats = 40;
constexpr int64_t kAlternatives = 20;

struct Choice {
  const char* name;
  SampleRow row;
  bool is_masked;
};

SampleRow row_of(double temperature, double top_p, int alternatives) {
  SampleRow row = {};
  row.temperature = temperature, row.top_p = top_p;
  row.typical_p = row.repetition = 1;
  row.random = 0.6180339887498949;
  row.is_used = 1;
  row.alternatives = alternatives;
  return row;
}

std::vector<Choice> choices() {
  std::vector<Choice> all = {
      {"greedy", row_of(0, 1, -1), false},
      {"greedy, logprobs 20", row_of(0, 1, 20), false},
      {"temperature 0.8", row_of(0.8, 1, -1), false},
      {"topP 0.95, temperature 0.8", row_of(0.8, 0.95, -1), false},
      {"topP 0.95, temperature 0.8, logprobs 20", row_of(0.8, 0.95, 20), false},
      {"topP 0.95, temperature 1", row_of(1, 0.95, -1), false},
      {"the same, masked, logprobs 20", row_of(0.8, 0.95, 20), true},
      {"topK 40, temperature 0.8", row_of(0.8, 1, -1), false},
      {"topK 40, topP 0.95", row_of(0.8, 0.95, -1), false},
      {"minP 0.05, temperature 0.8", row_of(0.8, 1, -1), false},
      {"typicalP 0.9, temperature 0.8", row_of(0.8, 1, -1), false},
      {"topP 1 - 2^-53: by the exact way", row_of(0.8, 1 - 0x1p-53, -1), false},
  };
  all[7].row.top_k = all[8].row.top_k = 40;
  all[9].row.min_p = 0.05;
  all[10].row.typical_p = 0.9;
  return all;
}

double best_us(Isa isa, const std::vector<float>& logits, const Choice& choice, const std::vector<uint32_t>& mask) {
  SampleRow row = choice.row;
  if (choice.is_masked) row.allowed = mask.data();
  std::vector<unsigned char> result(sizeof(SampleResult) + kAlternatives * sizeof(SampleAlternative));
  SampleParams p = {};
  p.logits = logits.data(), p.row_stride = p.vocabulary = static_cast<int64_t>(logits.size());
  p.rows = &row, p.results = result.data();
  p.result_bytes = static_cast<int64_t>(result.size()), p.most_alternatives = kAlternatives;
  OpRecord op = {};
  std::memcpy(op.params, &p, sizeof p);
  Kernel kernel = nullptr;
  for (uint32_t opcode = 0; opcode < kernel_count(); ++opcode) {
    if (std::strcmp(kernel_info(opcode).name, "sample") == 0) kernel = kernel_set(isa).kernels[opcode];
  }
  static std::vector<unsigned char> memory(kScratchBytes + kCacheLineBytes);
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  Scratch scratch = {memory.data() + (kCacheLineBytes - address % kCacheLineBytes) % kCacheLineBytes, kScratchBytes};
  double best = INFINITY;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    kernel(op, 0, scratch);
    const std::chrono::duration<double, std::micro> us = std::chrono::steady_clock::now() - start;
    best = std::min(best, us.count());
  }
  return best;
}

// About normal, with deviation 1.
float normal(uint64_t& state) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    sum += static_cast<float>(state >> 40) * 0x1p-24f;
  }
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t vocabulary = argc > 1 ? static_cast<size_t>(std::atoll(argv[1])) : 131072;
  uint64_t state = 1;
  struct Spread {
    const char* name;
    float deviation;
    float lift;  // of one token in 10,000
  };
  for (const Spread& spread : {Spread{"as of a language model (deviation 2, some likely tokens)", 2, 12},
                               Spread{"as of random weights (deviation 0.3)", 0.3f, 0}}) {
    std::vector<float> logits(vocabulary);
    for (size_t i = 0; i < vocabulary; ++i) {
      logits[i] = spread.deviation * normal(state) + (i % 10000 == 77 ? spread.lift : 0);
    }
    std::vector<uint32_t> mask((vocabulary + 31) / 32);
    for (size_t i = 0; i < mask.size(); ++i) mask[i] = i % 3 == 0 ? UINT32_MAX : i % 3 == 1 ? 0x12345678 : 0;
    std::printf("\n%zu logits %s, µs a row\n%-42s", vocabulary, spread.name, "");
    for (const Isa isa : kAllIsas) {
      if (isa_supported(isa)) std::printf("%10s", kernel_set(isa).isa);
    }
    for (const Choice& choice : choices()) {
      if (argc > 2 && std::strstr(choice.name, argv[2]) == nullptr) continue;
      std::printf("\n%-42s", choice.name);
      for (const Isa isa : kAllIsas) {
        if (isa_supported(isa)) std::printf("%10.1f", best_us(isa, logits, choice, mask));
      }
      std::fflush(stdout);
    }
  }
  std::printf("\n");
  return 0;
}
