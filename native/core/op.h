// The op record (one step of a program), and the signature of a kernel. src/program/compiled-program.ts writes records
// into shared memory; the executor reads them and passes each to its kernel. Not here: how tiles are claimed
// (executor.h), and the meaning of each op's parameters (kernels/<op>.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/pointer.h"

namespace tesserae {

// The element types of tensors. The numbers are shared with src/tensor/elements/dtype.ts.
enum class DType : int64_t { f32 = 0, f16 = 1, i8 = 2, i32 = 3, bf16 = 4 };

static inline int64_t dtype_bytes(DType dtype) {
  return dtype == DType::i8 ? 1 : dtype == DType::f16 || dtype == DType::bf16 ? 2 : 4;
}

constexpr size_t kCacheLineBytes = 64;
constexpr size_t kParamWords = 62;

// One record. All parameters are 8-byte words (pointer, int64_t or double), so that there is no padding: word i of the
// parameters is field i of the op's parameter struct.
struct alignas(kCacheLineBytes) OpRecord {
  uint32_t opcode;      // index into the kernel table
  uint32_t tile_count;  // how many tiles this op is cut into; at least 1
  uint32_t after;       // the op may start once ops 0 .. after-1 of its program are complete
  uint32_t first_tile;  // number of tiles of all ops before it: the index of its first tile in a trace
  uint64_t params[kParamWords];

  template <typename Params>
  const Params& as() const {
    static_assert(sizeof(Params) <= sizeof(params), "the parameters must fit into the record");
    static_assert(sizeof(Params) % 8 == 0, "parameters are 8-byte words");
    return *reinterpret_cast<const Params*>(params);
  }
};
static_assert(sizeof(OpRecord) == 512, "a record is eight cache lines");

// Memory that one worker owns while it computes a tile. 64-byte aligned; keeps nothing from one tile to the next.
struct Scratch {
  unsigned char* data;
  size_t size_bytes;
};

constexpr size_t kScratchBytes = size_t{2} << 20;

// Errors that depend on the data, so that a kernel can find them only while it runs. The numbers are shared with
// src/native/addon.ts.
enum class KernelStatus : int32_t {
  ok = 0,
  index_out_of_range = 1,  // an index tensor contains the number of a row that does not exist
  checkpoint_failed = 2,   // the diagnostic op `checkpoint` was asked to fail
  abandoned = 3,           // the diagnostic op `checkpoint` was asked to leave its tile unfinished
  value_out_of_range = 4,  // the output's element type cannot represent a value
};

// Computes one tile. Reads the operands whose addresses the record holds, writes the tile's part of the outputs (no two
// tiles write the same byte), never allocates, never throws, never blocks.
using Kernel = KernelStatus (*)(const OpRecord& op, int64_t tile, Scratch& scratch);

}  // namespace tesserae
