// Tests of sample: every kernel set against the oracle, to the bit, with every option, in scratch memory of any size;
// the portable functions; rows that fail, and rows that must be refused.
#include "kernels/sample.h"

#include <doctest/doctest.h>

#include <array>
#include <memory>

#include "kernel_sets.h"
#include "kernels/portable_math.h"
#include "rows_testing.h"
#include "sample_oracle.h"

namespace tesserae::testing {
namespace {

using sample_testing::Oracle;
using sample_testing::OracleResult;
using sample_testing::OracleRow;

constexpr int64_t kMostAlternatives = 20;
constexpr int64_t kResultBytes = sizeof(SampleResult) + kMostAlternatives * sizeof(SampleAlternative);

OracleRow plain_row() {
  OracleRow request;
  request.row.temperature = request.row.typical_p = request.row.top_p = request.row.repetition = 1;
  request.row.is_used = 1;
  request.row.alternatives = -1;
  return request;
}

struct Sampled {
  KernelStatus status;
  OracleResult result;
};

Sampled run_sample(Isa isa, const std::vector<float>& logits, OracleRow& request, int64_t scratch_bytes) {
  request.point();
  std::vector<unsigned char> results(kResultBytes + 1, 0xff);
  const std::vector<float> given = logits;
  SampleParams p = {};
  p.logits = logits.data(), p.row_stride = p.vocabulary = static_cast<int64_t>(logits.size());
  p.rows = &request.row, p.results = results.data();
  p.result_bytes = kResultBytes, p.most_alternatives = kMostAlternatives;
  OpRecord op = {};
  std::memcpy(op.params, &p, sizeof p);
  const auto size = static_cast<size_t>(scratch_bytes);
  const std::unique_ptr<unsigned char, decltype(&std::free)> memory(
      static_cast<unsigned char*>(std::aligned_alloc(kCacheLineBytes, size)), &std::free);
  std::memset(memory.get(), 0xff, size);
  Scratch scratch = {memory.get(), size};
  Sampled sampled = {kernel_named("sample", isa)(op, 0, scratch), {}};
  CHECK(same_bits(logits, given));
  CHECK(results.back() == 0xff);
  std::memcpy(&sampled.result.head, results.data(), sizeof(SampleResult));
  const auto count = static_cast<size_t>(std::max(sampled.result.head.alternatives, 0));
  sampled.result.alternatives.resize(std::min(count, size_t{kMostAlternatives}));
  for (size_t i = 0; i < sampled.result.alternatives.size(); ++i) {
    std::memcpy(&sampled.result.alternatives[i], results.data() + sizeof(SampleResult) + i * sizeof(SampleAlternative),
                sizeof(SampleAlternative));
  }
  return sampled;
}

constexpr auto kFullScratch = static_cast<int64_t>(kScratchBytes);

void check_row(const std::vector<float>& logits, OracleRow& request, const std::vector<int64_t>& scratches) {
  request.point();
  const OracleResult expected = Oracle(logits, request).sample();
  for (const Isa isa : instruction_sets()) {
    for (int64_t scratch_bytes : scratches) {
      CAPTURE(std::string(kernel_set(isa).isa));
      CAPTURE(scratch_bytes);
      const auto [status, result] = run_sample(isa, logits, request, scratch_bytes);
      CHECK(status == KernelStatus::ok);
      CHECK(result.head.status == expected.head.status);
      CHECK(result.head.id == expected.head.id);
      CHECK(result.head.alternatives == expected.head.alternatives);
      CHECK(std::memcmp(&result.head.logprob, &expected.head.logprob, sizeof(double)) == 0);
      CHECK(result.alternatives.size() == expected.alternatives.size());
      for (size_t i = 0; i < result.alternatives.size(); ++i) {
        CHECK(std::memcmp(&result.alternatives[i], &expected.alternatives[i], sizeof(SampleAlternative)) == 0);
      }
    }
  }
}

std::vector<float> some_logits(Random& random, int kind, size_t count) {
  std::vector<float> logits(count);
  for (size_t i = 0; i < count; ++i) {
    const float wide = random.uniform() + random.uniform() + random.uniform();
    const float kinds[] = {0.3f * wide,
                           4 * wide,
                           400 * wide,
                           std::round(8 * wide) / 4,
                           1.5f,
                           random.integer(0, 9) > 0 ? -INFINITY : wide,
                           random.integer(0, 99) == 0 ? 12 + wide : wide,
                           1e-41f * wide,
                           8 * static_cast<float>(i) / static_cast<float>(count),
                           i % 2 == 0 ? 0.0f : -0.0f};
    logits[i] = kinds[kind];
  }
  return logits;
}
constexpr int kKinds = 10;

template <typename T, size_t n>
T one_of(Random& random, const std::array<T, n>& values) {
  return values[static_cast<size_t>(random.integer(0, static_cast<int>(n) - 1))];
}

OracleRow some_row(Random& random, int count) {
  OracleRow request = plain_row();
  SampleRow& row = request.row;
  const std::array<double, 5> probabilities = {0.95, 0.5, 0.999999, 1 - 0x1p-53, 1e-9};
  const auto now_and_then = [&] { return random.integer(0, 2) == 0; };
  row.temperature = one_of(random, std::array<double, 6>{0.8, 1, 1, 30, 1e-3, 0});
  if (now_and_then()) row.top_k = one_of(random, std::array<int, 5>{1, 40, count / 2 + 1, count - 1, INT32_MAX});
  if (row.top_k < 0) row.top_k = 0;
  if (now_and_then()) row.typical_p = one_of(random, probabilities);
  if (now_and_then()) row.top_p = one_of(random, probabilities);
  if (now_and_then()) row.min_p = one_of(random, std::array<double, 4>{0.05, 1, 1e-9, 0.7});
  row.random = one_of(random, std::array<double, 3>{0.5 + 0.5 * random.uniform(), 0, 1 - 0x1p-53});
  row.alternatives = one_of(random, std::array<int, 4>{-1, 0, 3, 20});
  if (now_and_then()) {
    for (int id = random.integer(0, 9); id < count; id += random.integer(0, count / 4)) {
      request.biases.push_back({static_cast<double>(id), one_of(random, std::array<double, 4>{1, 0.1, -3, -INFINITY})});
      if (request.biases.size() > 30) break;
    }
  }
  if (now_and_then()) {
    row.repetition = 1.3, row.presence = -0.25, row.frequency = 0.4;
    for (int id = random.integer(0, 9); id < count; id += random.integer(1, 300)) {
      request.recent.push_back({id, random.integer(1, 5)});
    }
  }
  if (now_and_then()) {
    for (int word = 0; word < (count + 31) / 32; ++word) {
      request.allowed.push_back(static_cast<uint32_t>(random.bits() & random.bits()));
    }
  }
  return request;
}

}  // namespace

TEST_CASE("sample: the oracle's token and log probabilities, with every option, in any scratch") {
  Random random(1);
  for (int count : {1, 2, 31, 33, 300, 1023, 1024, 1025, 5000}) {
    for (int kind = 0; kind < kKinds; ++kind) {
      for (int repeat = 0; repeat < (count < 1000 ? 40 : 12); ++repeat) {
        CAPTURE(count);
        CAPTURE(kind);
        CAPTURE(repeat);
        const std::vector<float> logits = some_logits(random, kind, static_cast<size_t>(count));
        OracleRow request = some_row(random, count);
        check_row(logits, request, {kSampleScratchBytes, 4 * kSampleScratchBytes, kFullScratch});
      }
    }
  }
}

TEST_CASE("sample: each filter alone on a large vocabulary") {
  Random random(2);
  for (int kind = 0; kind < kKinds; ++kind) {
    const std::vector<float> logits = some_logits(random, kind, 140'001);
    for (int filter = 0; filter < 5; ++filter) {
      CAPTURE(kind);
      CAPTURE(filter);
      OracleRow request = plain_row();
      request.row.random = 0.5 + 0.5 * random.uniform();
      request.row.alternatives = 20;
      request.row.temperature = 0.8;
      if (filter == 1) request.row.top_k = 50;
      if (filter == 2) request.row.typical_p = 0.9;
      if (filter == 3) request.row.top_p = 0.95;
      if (filter == 4) request.row.min_p = 0.05;
      check_row(logits, request, {kFullScratch});
    }
  }
}

TEST_CASE("sample: the vector sets decline only where rounding could decide") {
  Random random(3);
  for (const Isa isa : vector_sets()) {
    for (int kind : {0, 1, 3, 5, 6, 8}) {
      const std::vector<float> logits = some_logits(random, kind, 50'000);
      for (int filter = 0; filter < 4; ++filter) {
        CAPTURE(std::string(kernel_set(isa).isa));
        CAPTURE(kind);
        CAPTURE(filter);
        OracleRow request = plain_row();
        request.row.random = 0.61803398874989484;
        request.row.temperature = 0.8;
        if (filter == 1) request.row.top_p = 0.95;
        if (filter == 2) request.row.top_p = 0.9, request.row.typical_p = 0.95;
        if (filter == 3) request.row.min_p = 0.01;
        CHECK(run_sample(isa, logits, request, kFullScratch).result.head.is_declined == 0);
        if (filter == 2) continue;
        request.row.top_p = 1 - 0x1p-53;
        CHECK(run_sample(isa, logits, request, kFullScratch).result.head.is_declined == 1);
      }
    }
  }
}

TEST_CASE("sample: NaN, infinity and nothing to choose fail their row") {
  for (const Isa isa : instruction_sets()) {
    for (size_t count : {1, 7, 40, 3000}) {
      CAPTURE(std::string(kernel_set(isa).isa));
      CAPTURE(count);
      OracleRow request = plain_row();
      request.row.top_p = 0.5;
      const auto outcome = [&](const std::vector<float>& logits) {
        const auto [status, result] = run_sample(isa, logits, request, kSampleScratchBytes);
        CHECK(status == KernelStatus::ok);
        return std::make_pair(result.head.status, result.head.id);
      };
      const auto last = static_cast<int32_t>(count - 1);
      std::vector<float> logits(count, -INFINITY);
      CHECK(outcome(logits).first == SampleStatus::nothing);
      logits.back() = INFINITY;
      CHECK(outcome(logits) == std::make_pair(SampleStatus::infinite, last));
      logits.back() = NAN;
      CHECK(outcome(logits) == std::make_pair(SampleStatus::nan, last));
      logits[count / 2] = NAN;
      logits[0] = count > 1 ? INFINITY : logits[0];
      CHECK(outcome(logits) == std::make_pair(SampleStatus::nan, static_cast<int32_t>(count / 2)));
      std::fill(logits.begin(), logits.end(), NAN);
      CHECK(outcome(logits) == std::make_pair(SampleStatus::nan, 0));
      std::fill(logits.begin(), logits.end(), 1.0f);
      CHECK(outcome(logits).first == SampleStatus::chosen);
      request.allowed.assign((count + 31) / 32, 0);
      CHECK(outcome(logits).first == SampleStatus::nothing);
      request.row.is_used = 0;
      CHECK(outcome(logits).first == SampleStatus::unused);
    }
  }
}

TEST_CASE("sample: rows that point outside of the vocabulary or the results are refused") {
  const std::vector<float> logits(100, 1.0f);
  const std::vector<std::function<void(OracleRow&)>> damages = {
      [](OracleRow& r) { r.biases = {{100, 1}}; },
      [](OracleRow& r) { r.biases = {{-1, 1}}; },
      [](OracleRow& r) { r.biases = {{0.5, 1}}; },
      [](OracleRow& r) { r.biases = {{NAN, 1}}; },
      [](OracleRow& r) { r.biases = {{5, 1}, {4, 1}}; },
      [](OracleRow& r) { r.recent = {{100, 1}}; },
      [](OracleRow& r) { r.recent = {{-1, 1}}; },
      [](OracleRow& r) { r.recent = {{7, 1}, {7, 1}}; },
      [](OracleRow& r) { r.row.alternatives = kMostAlternatives + 1; },
      [](OracleRow& r) { r.row.alternatives = -2; },
      [](OracleRow& r) { r.row.top_k = -1; },
  };
  for (const Isa isa : instruction_sets()) {
    for (const auto& damage : damages) {
      OracleRow request = plain_row();
      damage(request);
      CHECK(run_sample(isa, logits, request, kSampleScratchBytes).status == KernelStatus::index_out_of_range);
    }
    OracleRow request = plain_row();
    request.biases = {{4, 1}, {4, 1}, {99, 1}};
    request.recent = {{0, 1}, {99, 1}};
    CHECK(run_sample(isa, logits, request, kSampleScratchBytes).status == KernelStatus::ok);
  }
}

// The same sums are in test/sampling/portable.test.ts: the functions have the same bits there.
TEST_CASE("portable exp and log have the bits of TypeScript") {
  uint32_t exp_bits = 0;
  uint32_t log_bits = 0;
  const auto add = [](uint32_t sum, double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return (((sum ^ static_cast<uint32_t>(bits)) * 0x01000193u) ^ static_cast<uint32_t>(bits >> 32)) * 0x01000193u;
  };
  for (int i = 0; i < 2'000'000; ++i) {
    exp_bits = add(exp_bits, portable_exp(-0.000354001 * i));
    exp_bits = add(exp_bits, portable_exp(-0.0000123456789 * i));
    log_bits = add(log_bits, portable_log(0.0371 * i));
    log_bits = add(log_bits, portable_log(1e-7 * i));
  }
  CHECK(exp_bits == 1323213757);
  CHECK(log_bits == 1100022478);
  CHECK(portable_exp(0) == 1);
  CHECK(portable_exp(-709) == 0);
  CHECK(portable_exp(-INFINITY) == 0);
  CHECK(portable_log(0) == -INFINITY);
}

}  // namespace tesserae::testing
