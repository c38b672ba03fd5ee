// matmul for the vector sets: the choice of the micro-tile for the blocked paths (matmul_blocked.h), what is done around
// them (matmul_around.h), and the call of the thin path.
#include "kernels/matmul.h"

#include "kernels/caches.h"
#include "kernels/simd/matmul_around.h"
#include "kernels/simd/matmul_blocked.h"
#include "kernels/simd/matmul_micro.h"
#include "kernels/simd/matmul_thin.h"

namespace tesserae {
namespace matmul {
namespace {

// With 32 registers: 8 × 48 for wide tiles, except where L2 is large: there the engine takes blocks of B that are no
// whole vectors of 48 columns (src/machine/block-sizes.ts), and 12 × 32 computes tiles whose rows of A stay in L2,
// since it reads fewer lines of B. Eight rows of A leave room in their sets of L1, even if they are a power of two
// apart. Narrow tiles, which would waste much of the third vector, are for 12 × 32.
//
// Where L1 is small, 12 × 32 is faster in wide tiles, too (measured on Zen 4), unless rows of A are a multiple of 4 KiB
// apart: then the lines that its twelve rows need at a time share a set of L1, which has room for eight.
constexpr int64_t kAliasedFloats = (int64_t{4} << 10) / sizeof(float);

// Whether the rows of A that a step of the products reads are in many sets of L1. Packed rows are in one run.
bool has_spread_rows(const MatmulParams& p) { return p.a_cs != 1 || p.a_rs % kAliasedFloats != 0; }

template <int registers>
void blocked_tile_with(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  if constexpr (registers == 32) {
    constexpr int64_t kWide = MicroTile<8, 3>::kColumns;
    const int64_t columns = std::min(tile.last_column - tile.first_column, p.blocks.nc);
    const int64_t rows = tile.last_row - tile.first_row;
    const bool is_far = p.a_rs * rows > kNearFloats;
    const bool takes_twelve = has_small_l1() && rows > kHalvesRows && has_spread_rows(p);
    const bool is_wide = columns > 64 && !takes_twelve && (is_far || p.blocks.nc % kWide == 0);
    if (is_wide || columns == kWide) blocked_tile<MicroTile<8, 3>>(p, x, tile, scratch);
    else blocked_tile<MicroTile<12, 2>>(p, x, tile, scratch);
  } else {
    blocked_tile<MicroTile<kMr, 1>>(p, x, tile, scratch);
  }
}

}  // namespace
}  // namespace matmul

inline namespace TESSERAE_ISA {

KernelStatus matmul_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& p = op.as<MatmulParams>();
  auto* floats = reinterpret_cast<float*>(scratch.data);
  const MatmulTile tile = matmul_tile(p, tile_index);
  for (int64_t batch = tile.first_batch; batch < tile.last_batch; ++batch) {
    const MatmulOperands x = matmul_operands(p, batch);
    if (static_cast<MatmulPath>(p.path) == MatmulPath::thin) matmul::compute_thin_tile(p, x, tile, floats);
    else matmul::with_around(p, x, tile, floats, [&](const MatmulParams& own, const MatmulOperands& operands) {
      matmul::blocked_tile_with<kRegisters>(own, operands, tile, floats);
    });
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
