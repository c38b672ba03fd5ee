// An op with random shapes, whose operands lie against pages that no instruction may touch: at their first byte, or at
// their last. Sanitizers do not see masked accesses and those of inline assembly; the pages do. Made by
// random_op_rows.h, random_op_products.h and random_op_attention.h, and checked by random_op_test.cpp.
#pragma once

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rows_testing.h"

namespace tesserae::testing {

enum class Side { begin, end };

// How often the tiles of an op write a byte of an output.
enum class Mark : unsigned char { never, once, at_most_once };

// Memory of its own pages between two that cannot be accessed. The operand starts at its first page's first byte, or ends
// at its last page's last one, as closely as its alignment allows.
class FencedMemory {
 public:
  FencedMemory(size_t bytes, size_t alignment, Side side) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t inner = std::max<size_t>((bytes + page - 1) / page, 1) * page;
    mapped_bytes_ = inner + 2 * page;
    mapped_ = static_cast<unsigned char*>(mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(mapped_ != MAP_FAILED);
    REQUIRE(mprotect(mapped_ + page, inner, PROT_READ | PROT_WRITE) == 0);
    const size_t room = side == Side::begin ? 0 : (inner - bytes) / alignment * alignment;
    data_ = mapped_ + page + room;
    std::memset(mapped_ + page, 0xff, inner);
  }
  FencedMemory(FencedMemory&& other) noexcept
      : mapped_(std::exchange(other.mapped_, nullptr)), mapped_bytes_(other.mapped_bytes_), data_(other.data_) {}
  ~FencedMemory() {
    if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
  }
  unsigned char* data() const { return data_; }

 private:
  unsigned char* mapped_;
  size_t mapped_bytes_;
  unsigned char* data_;
};

class RandomOp {
 public:
  RandomOp(Side side, uint64_t seed) : random(seed), side_(side) {}

  Random random;
  const char* kernel = nullptr;
  OpRecord record = {};
  int64_t tiles = 0;

  template <typename Params>
  void set(const char* name, const Params& params, int64_t tile_count) {
    kernel = name;
    tiles = tile_count;
    record.tile_count = static_cast<uint32_t>(tile_count);
    std::memcpy(record.params, &params, sizeof params);
  }

  template <typename T>
  T* input(const std::vector<T>& values, size_t alignment = alignof(T)) {
    T* data = memory<T>(static_cast<int64_t>(values.size()), alignment);
    std::copy(values.begin(), values.end(), data);
    return data;
  }
  template <typename T, typename Make>
  T* input(int64_t count, Make make, size_t alignment = alignof(T)) {
    T* data = memory<T>(count, alignment);
    for (int64_t i = 0; i < count; ++i) data[i] = make();
    return data;
  }
  // Floats in [-size, size).
  float* floats(int64_t count, float size = 1) {
    return input<float>(count, [&] { return random.uniform() * size; });
  }

  // An output whose bytes all have the mark; `mark` changes that of some.
  template <typename T>
  T* output(int64_t count, Mark of_all, size_t alignment = alignof(T)) {
    T* data = memory<T>(count, alignment);
    outputs_.push_back({reinterpret_cast<unsigned char*>(data),
                        std::vector<Mark>(static_cast<size_t>(count) * sizeof(T), of_all)});
    return data;
  }
  template <typename T>
  void mark(const T* at, int64_t count, Mark mark) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(at);
    for (Output& output : outputs_) {
      if (bytes < output.data || bytes >= output.data + output.marks.size()) continue;
      std::fill_n(output.marks.begin() + (bytes - output.data), static_cast<size_t>(count) * sizeof(T), mark);
    }
  }

  // An operand that the op changes in place: each run begins with what it contains now.
  template <typename T>
  T* in_place(T* data, int64_t count) {
    const auto* bytes = reinterpret_cast<unsigned char*>(data);
    changed_.push_back({reinterpret_cast<unsigned char*>(data), {bytes, bytes + static_cast<size_t>(count) * sizeof(T)}});
    return data;
  }

  int64_t integer(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random.bits() % static_cast<uint64_t>(high - low + 1));
  }
  bool flip() { return integer(0, 1) == 1; }
  // A size from 1 to `most`: small, near a multiple of a vector's lanes, or any.
  int64_t size(int64_t most) {
    const int64_t kind = integer(0, 2);
    const int64_t value = kind == 0 ? integer(1, 9) : kind == 1 ? integer(1, 8) * 16 + integer(-1, 1) : integer(1, most);
    return std::min(value, most);
  }

  // Bytes that the tiles write together, if that is known where the marks say only `at_most_once`.
  int64_t written_bytes = -1;

  // Runs each tile alone, twice, with outputs that are filled with another byte each time: a byte that keeps both fills was
  // not written. Checks that the tiles write disjoint bytes, and all that are marked.
  void check(Isa isa) const {
    const Kernel run = kernel_named(kernel, isa);
    static std::vector<unsigned char> scratch_memory(kScratchBytes + kCacheLineBytes);
    const auto address = reinterpret_cast<uintptr_t>(scratch_memory.data());
    Scratch scratch{scratch_memory.data() + (kCacheLineBytes - address % kCacheLineBytes) % kCacheLineBytes, kScratchBytes};
    std::vector<std::vector<unsigned char>> writers;
    for (const Output& output : outputs_) writers.emplace_back(output.marks.size(), 0);
    std::vector<std::vector<unsigned char>> written = writers;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      for (const int pattern : {0x55, 0xaa}) {
        for (const Output& output : outputs_) std::memset(output.data, pattern, output.marks.size());
        for (const Changed& operand : changed_) std::copy(operand.before.begin(), operand.before.end(), operand.data);
        REQUIRE(run(record, tile, scratch) == KernelStatus::ok);
        for (size_t o = 0; o < outputs_.size(); ++o) {
          for (size_t i = 0; i < written[o].size(); ++i) {
            const bool differs = outputs_[o].data[i] != pattern;
            written[o][i] = pattern == 0x55 ? differs : written[o][i] | differs;
          }
        }
      }
      for (size_t o = 0; o < writers.size(); ++o) {
        for (size_t i = 0; i < writers[o].size(); ++i) writers[o][i] = static_cast<unsigned char>(std::min(writers[o][i] + written[o][i], 2));
      }
    }
    compare(writers);
  }

 private:
  struct Output {
    unsigned char* data;
    std::vector<Mark> marks;
  };

  struct Changed {
    unsigned char* data;
    std::vector<unsigned char> before;
  };

  template <typename T>
  T* memory(int64_t count, size_t alignment) {
    memory_.emplace_back(static_cast<size_t>(count) * sizeof(T), alignment, side_);
    return reinterpret_cast<T*>(memory_.back().data());
  }

  void compare(const std::vector<std::vector<unsigned char>>& writers) const {
    int64_t total = 0;
    for (size_t o = 0; o < writers.size(); ++o) {
      int64_t missing = 0, repeated = 0, foreign = 0;
      for (size_t i = 0; i < writers[o].size(); ++i) {
        const Mark mark = outputs_[o].marks[i];
        total += writers[o][i];
        missing += mark == Mark::once && writers[o][i] == 0;
        repeated += writers[o][i] > 1;
        foreign += mark == Mark::never && writers[o][i] > 0;
      }
      CAPTURE(o);
      CHECK(missing == 0);
      CHECK(repeated == 0);
      CHECK(foreign == 0);
    }
    if (written_bytes >= 0) CHECK(total == written_bytes);
  }

  Side side_;
  std::vector<FencedMemory> memory_;
  std::vector<Output> outputs_;
  std::vector<Changed> changed_;
};

// Makes the operands and parameters of one kernel.
struct RandomOpMaker {
  const char* kernel;
  void (*make)(RandomOp&);
};

}  // namespace tesserae::testing
