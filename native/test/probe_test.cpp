// Tests of the probe kernels: that they do exactly the documented work, without which their measurements would be
// wrong.
#include "kernels/probe_dot.h"
#include "kernels/probe_fma.h"
#include "kernels/probe_read.h"

#include "rows_testing.h"

namespace tesserae::testing {
namespace {

std::vector<float> run_fma(Isa isa, int64_t tiles, int64_t iterations, double multiplier, double addend) {
  std::vector<float> y(static_cast<size_t>(tiles * kProbeLanes + 1), NAN);
  const ProbeFmaParams params{y.data(), iterations, multiplier, addend};
  REQUIRE(run_tiles(kernel_named("probe_fma", isa), params, tiles) == KernelStatus::ok);
  CHECK(std::isnan(y.back()));
  y.pop_back();
  return y;
}

TEST_CASE("probe_fma: every lane of every tile is the recurrence, with one rounding a step") {
  for (const Isa isa : instruction_sets()) {
    CAPTURE(kernel_set(isa).isa);
    for (const int64_t iterations : {0, 1, 2, 7, 100}) {
      const std::vector<float> y = run_fma(isa, 3, iterations, -0.7, 1.3);
      for (size_t i = 0; i < y.size(); ++i) {
        auto x = static_cast<float>(i % kProbeLanes);
        for (int64_t step = 0; step < iterations; ++step) x = std::fma(x, -0.7f, 1.3f);
        REQUIRE(y[i] == x);
      }
    }
  }
}

TEST_CASE("probe_fma: x = 1 - x is exact for any number of iterations") {
  for (const Isa isa : instruction_sets()) {
    const std::vector<float> y = run_fma(isa, 1, 1001, -1, 1);
    for (int lane = 0; lane < kProbeLanes; ++lane) CHECK(y[static_cast<size_t>(lane)] == static_cast<float>(1 - lane));
  }
}

TEST_CASE("probe_dot: every lane of every tile has the products of all iterations") {
  for (const Isa isa : instruction_sets()) {
    CAPTURE(kernel_set(isa).isa);
    for (const int64_t iterations : {0, 2, 4, 1000}) {
      std::vector<int32_t> y(static_cast<size_t>(3 * kProbeDotLanes + 1), 7);
      REQUIRE(run_tiles(kernel_named("probe_dot", isa), ProbeDotParams{y.data(), iterations}, 3) == KernelStatus::ok);
      CHECK(y.back() == 7);
      y.pop_back();
      for (const int32_t sum : y) REQUIRE(sum == iterations * kProbeQuad);
    }
  }
}

TEST_CASE("probe_read: every element once, whatever the size of buffer and tile") {
  constexpr int64_t block = kMostProbeStreams * kProbeLineFloats;
  for (const Isa isa : instruction_sets()) {
    CAPTURE(kernel_set(isa).isa);
    for (const int64_t size : {int64_t{1}, block - 1, block, block + 1, 2 * block + 1, 1000 * block + 37}) {
      for (const int64_t tile_size : {int64_t{17}, block, 3 * block + 5, size + 1}) {
        const int64_t tiles = tiles_of(size, tile_size);
        // Misaligned, with guards on both sides.
        std::vector<float> x(static_cast<size_t>(size + 2), NAN);
        Random random(static_cast<uint64_t>(size));
        for (int64_t i = 0; i < size; ++i) x[static_cast<size_t>(i + 1)] = static_cast<float>(random.integer(-9, 9));
        std::vector<float> sums(static_cast<size_t>(tiles + 1), NAN);
        for (const int64_t streams : {1, 2, 4, 8}) {
          const ProbeReadParams params{x.data() + 1, sums.data(), size, tile_size, streams, streams == 2 ? 0 : 512};
          REQUIRE(run_tiles(kernel_named("probe_read", isa), params, tiles) == KernelStatus::ok);
          CHECK(std::isnan(sums.back()));
          for (int64_t tile = 0; tile < tiles; ++tile) {
            double expected = 0;
            const int64_t last = std::min((tile + 1) * tile_size, size);
            for (int64_t i = tile * tile_size; i < last; ++i) expected += x[static_cast<size_t>(i + 1)];
            REQUIRE(sums[static_cast<size_t>(tile)] == expected);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tesserae::testing
