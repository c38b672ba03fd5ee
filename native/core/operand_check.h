// The arithmetic of program_check.cpp: how far an operand reaches in memory, by its sizes and strides, and whether a
// region of the program contains it. Untrusted numbers of 64 bits: nothing here may overflow.
#pragma once

#include <cstdint>

#include "core/program_check.h"
#include "kernels/rows.h"

namespace tesserae {

using Wide = __int128;

constexpr int64_t kMostSize = int64_t{1} << 53;  // no size or stride of a tensor is larger

static inline bool is_size(int64_t value) { return value >= 0 && value <= kMostSize; }

// A product of sizes; kMostSize + 1 if it, or a factor, is too large or negative.
static inline int64_t product(std::initializer_list<int64_t> factors) {
  Wide result = 1;
  for (const int64_t factor : factors) {
    if (!is_size(factor)) return kMostSize + 1;
    result *= factor;
    if (result > kMostSize) return kMostSize + 1;
  }
  return static_cast<int64_t>(result);
}

// The elements that an operand spans: from its first to its last one.
class Extent {
 public:
  Extent& dim(int64_t size, int64_t stride) {
    is_valid_ = is_valid_ && is_size(size) && is_size(stride);
    if (!is_valid_) return *this;
    is_empty_ = is_empty_ || size == 0;
    repeats_ = repeats_ || (size > 1 && stride == 0);
    last_ += Wide{size - 1} * stride;
    return *this;
  }
  Extent& outer(const OuterShape& shape, const OuterStrides& strides) {
    for (int i = 0; i < kOuterDims; ++i) dim(shape.size[i], strides.stride[i]);
    return *this;
  }
  bool is_valid() const { return is_valid_; }
  bool is_empty() const { return is_empty_; }
  // Whether several indices are the same element.
  bool repeats() const { return repeats_; }
  Wide bytes(int64_t element_bytes) const { return (last_ + 1) * element_bytes; }

 private:
  bool is_valid_ = true;
  bool is_empty_ = false;
  bool repeats_ = false;
  Wide last_ = 0;
};

// The checks of one record; keeps the first problem.
class OperandCheck {
 public:
  OperandCheck(const Region* regions, size_t count) : regions_(regions), count_(count) {}

  const char* problem() const { return problem_; }
  void begin_op(uint32_t tile_count) { tile_count_ = tile_count; }

  void require(bool holds, const char* problem) {
    if (!holds && problem_ == nullptr) problem_ = problem;
  }

  int64_t tile_count() const { return tile_count_; }
  // The op has ceil(total / of_tile) tiles, times `repeats`.
  void tiles(int64_t total, int64_t of_tile, int64_t repeats = 1) {
    require(is_size(total) && of_tile >= 1 && is_size(of_tile), "has tiles of an invalid size");
    if (problem_ != nullptr) return;
    require(product({(total + of_tile - 1) / of_tile, repeats}) == tile_count_, "has another number of tiles");
  }

  void reads(Address operand, int64_t element_bytes, const Extent& extent) {
    access(operand, element_bytes, extent, false);
  }
  // Two indices of an output are never the same element.
  void writes(Address operand, int64_t element_bytes, const Extent& extent) {
    require(!extent.repeats(), "has an output with elements that share memory");
    access(operand, element_bytes, extent, true);
  }
  // For scatter, which finds the rows that it writes by their numbers.
  void writes_some(Address operand, int64_t element_bytes, const Extent& extent) {
    access(operand, element_bytes, extent, true);
  }
  void may_read(Address operand, int64_t element_bytes, const Extent& extent) {
    if (operand.value != 0) reads(operand, element_bytes, extent);
  }

 private:
  void access(Address operand, int64_t element_bytes, const Extent& extent, bool writes) {
    require(extent.is_valid(), "has an operand with invalid sizes or strides");
    if (problem_ != nullptr || extent.is_empty()) return;
    const Wide begin = static_cast<Wide>(operand.value);
    const Wide end = begin + extent.bytes(element_bytes);
    // Operands come in the order in which the regions were first used: the search begins where the last one ended.
    for (size_t step = 0; step < count_; ++step) {
      const size_t index = hint_ + step < count_ ? hint_ + step : hint_ + step - count_;
      const Region& region = regions_[index];
      const auto start = static_cast<Wide>(region.begin);
      if (begin < start || end > start + static_cast<Wide>(region.size_bytes)) continue;
      if (writes && region.is_writable != 1) continue;
      hint_ = index;
      return;
    }
    require(false, writes ? "writes outside of its memory" : "reads outside of its memory");
  }

  const Region* regions_;
  size_t count_;
  size_t hint_ = 0;
  int64_t tile_count_ = 0;
  const char* problem_ = nullptr;
};

}  // namespace tesserae
