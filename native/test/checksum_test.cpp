// Tests of checksum: every set gives the sums of the reference, whatever the size, and no changed, moved or missing byte
// goes unseen.
#include "kernels/checksum.h"

#include "rows_testing.h"

namespace tesserae::testing {
namespace {

std::vector<uint32_t> checksum(Isa isa, const std::vector<unsigned char>& x, int64_t size) {
  const int64_t chunks = tiles_of(size, kChecksumChunk);
  std::vector<uint32_t> sums(static_cast<size_t>(2 * chunks + 1), 0xfeedu);
  const ChecksumParams params{x.data() + 1, sums.data(), size};  // misaligned
  REQUIRE(run_tiles(kernel_named("checksum", isa), params, chunks) == KernelStatus::ok);
  CHECK(sums.back() == 0xfeedu);
  sums.pop_back();
  return sums;
}

std::vector<unsigned char> random_bytes(int64_t size) {
  Random random(static_cast<uint64_t>(size));
  std::vector<unsigned char> x(static_cast<size_t>(size + 1));
  for (unsigned char& byte : x) byte = static_cast<unsigned char>(random.integer(0, 255));
  return x;
}

TEST_CASE("checksum: every set gives the sums of the reference") {
  for (const int64_t size : {int64_t{1}, int64_t{3}, int64_t{31}, int64_t{32}, int64_t{37}, int64_t{4096},
                             kChecksumChunk - 1, kChecksumChunk, 2 * kChecksumChunk + 77}) {
    const std::vector<unsigned char> x = random_bytes(size);
    const std::vector<uint32_t> expected = checksum(Isa::ref, x, size);
    for (const Isa isa : vector_sets()) {
      CAPTURE(std::string(kernel_set(isa).isa));
      CAPTURE(size);
      CHECK(checksum(isa, x, size) == expected);
    }
  }
}

TEST_CASE("checksum: a bit that changes, and blocks that change places, change the sums") {
  const int64_t size = 5000;
  const std::vector<unsigned char> x = random_bytes(size);
  const std::vector<uint32_t> sums = checksum(Isa::ref, x, size);
  for (size_t at = 1; at <= static_cast<size_t>(size); at += 13) {
    std::vector<unsigned char> changed = x;
    changed[at] = static_cast<unsigned char>(changed[at] ^ (1u << at % 8));
    CHECK(checksum(Isa::ref, changed, size) != sums);
  }
  for (const size_t block : {size_t{4}, size_t{32}, size_t{64}, size_t{512}}) {
    std::vector<unsigned char> swapped = x;
    std::swap_ranges(swapped.begin() + 1, swapped.begin() + 1 + static_cast<int64_t>(block),
                     swapped.begin() + 1 + static_cast<int64_t>(3 * block));
    CHECK(checksum(Isa::ref, swapped, size) != sums);
  }
}

}  // namespace
}  // namespace tesserae::testing
