// matmul with AVX-512: its micro-kernels for the blocked paths (simd/matmul_blocked.h), and the call of the thin path.
// The sums are the same chains as with AVX2, so the bits are the same.
#include "kernels/matmul.h"

#include <utility>

#include "kernels/simd/matmul_blocked.h"
#include "kernels/simd/matmul_thin.h"
#include "kernels/avx512/lanes.h"
#include "kernels/avx512/sgemm.h"

namespace tesserae {
namespace matmul {
namespace {

using MicroKernel = void (*)(int64_t k, const float* a, int64_t a_rs, const float* b, const float* from, float* to,
                             int64_t to_rs, __mmask16 last);

template <int Rows, int Vectors, bool PackedA>
void on_packed(int64_t k, const float* a, int64_t a_rs, const float* b, const float* from, float* to, int64_t to_rs,
               __mmask16 last) {
  sgemm_avx512<Rows, Vectors, PackedA>(k, a, a_rs, PackedRows{b, k}, from, to, to_rs, last);
}

template <int MostRows>
struct KernelsByRows {
  MicroKernel of[MostRows + 1];
};

template <bool PackedA, int Vectors, int... Rows>
constexpr KernelsByRows<sizeof...(Rows)> kernels_by_rows(std::integer_sequence<int, Rows...>) {
  return {{nullptr, on_packed<Rows + 1, Vectors, PackedA>...}};
}

template <bool PackedA, int Vectors, int MostRows>
constexpr KernelsByRows<MostRows> kByRows =
    kernels_by_rows<PackedA, Vectors>(std::make_integer_sequence<int, MostRows>());

template <int Rows, int Vectors, bool PackedA, typename Element>
void packing(int64_t k, const float* a, int64_t a_rs, const PackSource& b, __mmask16 present, float* panels,
             const float* from, float* to, int64_t to_rs, __mmask16 last) {
  const int64_t panel_bytes = k * kNr * static_cast<int64_t>(sizeof(float));
  const PackingRows<Element, Vectors> rows = {static_cast<const Element*>(b.data), b.rs, panels, panel_bytes, present};
  sgemm_avx512<Rows, Vectors, PackedA>(k, a, a_rs, rows, from, to, to_rs, last);
}

static __mmask16 first_of_last(int64_t columns) { return first_of_16((columns - 1) % kNr + 1); }

template <int Rows, int Panels>
struct Micro512 {
  static constexpr int64_t kRows = Rows;
  static constexpr int64_t kPanels = Panels;
  static constexpr int64_t kColumns = Panels * kNr;

  template <bool PackedA>
  static void run(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_rs, const float* b,
                  const float* from, float* to, int64_t to_rs) {
    MicroKernel kernel = kByRows<PackedA, 1, Rows>.of[rows];
    if (columns > kNr) kernel = kByRows<PackedA, 2, Rows>.of[rows];
    if (Panels > 2 && columns > 2 * kNr) kernel = kByRows<PackedA, Panels, Rows>.of[rows];
    kernel(k, a, a_rs, b, from, to, to_rs, first_of_last(columns));
  }

  static bool can_pack_and_run(const PackSource& b) { return b.cs == 1; }
  template <bool PackedA>
  static void pack_and_run(int64_t columns, int64_t k, const float* a, int64_t a_rs, const PackSource& b,
                           int64_t b_columns, float* panels, const float* from, float* to, int64_t to_rs) {
    const auto with = [&](auto element) {
      using Element = decltype(element);
      auto kernel = packing<Rows, 1, PackedA, Element>;
      if (columns > kNr) kernel = packing<Rows, 2, PackedA, Element>;
      if (Panels > 2 && columns > 2 * kNr) kernel = packing<Rows, Panels, PackedA, Element>;
      kernel(k, a, a_rs, b, first_of_last(b_columns), panels, from, to, to_rs, first_of_last(columns));
    };
    if (b.dtype == DType::f16) with(Half{});
    else if (b.dtype == DType::bf16) with(Bfloat{});
    else with(float{});
  }

  static bool can_store(int64_t) { return true; }
  static constexpr PackPanels pack_b = pack_b_panels;

  // Packs each group of rows as k columns of as many floats as it has rows. If columns of A are contiguous, several
  // groups are packed at a time, so that each cache line is read once.
  static void pack_a(const float* a, int64_t rs, int64_t cs, int64_t rows, int64_t k, float* to) {
    constexpr int64_t kGroups = 6;
    while (rs == 1 && rows >= kGroups * kRows) {
      pack_a_columns<kGroups>(a, cs, kRows, k, to);
      a += kGroups * kRows, rows -= kGroups * kRows, to += kGroups * kRows * k;
    }
    for (int64_t i = 0; i < rows; i += kRows, a += kRows * rs) {
      const int64_t count = std::min(rows - i, kRows);
      if (rs == 1) {
        pack_a_columns<1>(a, cs, count, k, to);
        to += count * k;
      } else {
        for (int64_t p = 0; p < k; ++p, to += count) {
          for (int64_t r = 0; r < count; ++r) to[r] = a[r * rs + p * cs];
        }
      }
    }
  }

  // Packs `Groups` groups of `count` rows each.
  template <int64_t Groups>
  static void pack_a_columns(const float* a, int64_t cs, int64_t count, int64_t k, float* to) {
    const __mmask16 mask = first_of_16(count);
    for (int64_t p = 0; p < k; ++p, a += cs) {
      for (int64_t g = 0; g < Groups; ++g) {
        _mm_prefetch(reinterpret_cast<const char*>(a + kPackRowsAhead * cs + g * kRows), _MM_HINT_T0);
        _mm512_mask_storeu_ps(to + g * count * k + p * count, mask, _mm512_maskz_loadu_ps(mask, a + g * kRows));
      }
    }
  }
};

using Micro12x32 = Micro512<12, 2>;
using Micro8x48 = Micro512<8, 3>;

// 8 × 48 for wide tiles, except where L2 is large: there the engine takes blocks of B that are no whole vectors of 48
// columns (src/machine/block-sizes.ts), and 12 × 32 computes tiles whose rows of A stay in L2, since it reads fewer lines
// of B. Eight rows of A leave room in their sets of L1, even if they are a power of two apart. Narrow tiles, which would
// waste much of the third vector, are for 12 × 32.
void blocked_tile_avx512(const MatmulParams& p, const MatmulOperands& x, const MatmulTile& tile, float* scratch) {
  const int64_t columns = std::min(tile.last_column - tile.first_column, p.blocks.nc);
  const bool is_far = p.a_rs * (tile.last_row - tile.first_row) > kNearFloats;
  const bool is_wide = columns > 64 && (is_far || p.blocks.nc % Micro8x48::kColumns == 0);
  if (is_wide || columns == Micro8x48::kColumns) blocked_tile<Micro8x48>(p, x, tile, scratch);
  else blocked_tile<Micro12x32>(p, x, tile, scratch);
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
    else matmul::blocked_tile_avx512(p, x, tile, floats);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
