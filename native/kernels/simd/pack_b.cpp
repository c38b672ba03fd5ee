// pack_b for the vector sets: the kernel, and the packing of one block for matmul.
#include "kernels/simd/pack_b.h"

#include <algorithm>

#include "kernels/simd/matmul_vector.h"
#include "kernels/pack_b.h"

namespace tesserae {
namespace matmul {
namespace {

// Packs B with contiguous rows: reads each row in one run and writes it to all panels.
template <typename Element>
void pack_rows(const Element* b, int64_t rs, int64_t k, int64_t columns, float* to) {
  const int64_t full = columns / kNr;
  const int64_t rest = columns % kNr;
  for (int64_t p = 0; p < k; ++p) {
    const Element* row = b + p * rs;
    float* out = to + p * kNr;
    for (int64_t panel = 0; panel < full; ++panel, row += kNr, out += k * kNr) {
      store_f32x8(out, load8(row));
      store_f32x8(out + 8, load8(row + 8));
    }
    if (rest > 0) {
      store_f32x8(out, rest >= 8 ? load8(row) : load_first(row, rest));
      store_f32x8(out + 8, rest > 8 ? load_first(row + 8, rest - 8) : f32x8(0));
    }
  }
}

// Packs eight columns of a panel of B with contiguous columns (weights stored [n, k]), by 8 × 8 transposes in
// registers.
template <typename Element>
void pack_half_panel_of_columns(const Element* b, int64_t cs, int64_t k, int64_t columns, float* to) {
  const Element* column[8];
  for (int64_t j = 0; j < 8; ++j) column[j] = b + std::min(j, columns - 1) * cs;
  const F32x8 mask = as_f32(first_lanes(columns));
  F32x8 rows[8];
  int64_t p = 0;
  for (; p + 8 <= k; p += 8) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) rows[j] = load8(column[j] + p);
    transpose8(rows);
#pragma GCC unroll 8
    for (int q = 0; q < 8; ++q) store_f32x8(to + (p + q) * kNr, bit_and(rows[q], mask));
  }
  if (p < k) {
    for (int j = 0; j < 8; ++j) rows[j] = load_first(column[j] + p, k - p);
    transpose8(rows);
    for (int64_t q = 0; q < k - p; ++q) store_f32x8(to + (p + q) * kNr, bit_and(rows[q], mask));
  }
}

template <typename Element>
void pack_columns(const Element* b, int64_t cs, int64_t k, int64_t columns, float* to) {
  for (int64_t j = 0; j < columns; j += kNr, to += k * kNr) {
    pack_half_panel_of_columns(b + j * cs, cs, k, std::min<int64_t>(columns - j, 8), to);
    if (j + 8 < columns) {
      pack_half_panel_of_columns(b + (j + 8) * cs, cs, k, std::min<int64_t>(columns - j - 8, 8), to + 8);
    } else {
      for (int64_t p = 0; p < k; ++p) store_f32x8(to + p * kNr + 8, f32x8(0));
    }
  }
}

template <typename Element>
void pack_panels(const PackSource& source, int64_t k, int64_t columns, float* to) {
  const auto* b = static_cast<const Element*>(source.data);
  if (source.cs == 1) return pack_rows(b, source.rs, k, columns, to);
  if (source.rs == 1) return pack_columns(b, source.cs, k, columns, to);
  pack_strided(b, source.rs, source.cs, k, columns, to);
}

}  // namespace

inline namespace TESSERAE_ISA {

void pack_b_panels(const PackSource& source, int64_t k, int64_t columns, float* to) {
  if (source.dtype == DType::f16) pack_panels<Half>(source, k, columns, to);
  else if (source.dtype == DType::bf16) pack_panels<Bfloat>(source, k, columns, to);
  else pack_panels<float>(source, k, columns, to);
}

}  // namespace TESSERAE_ISA
}  // namespace matmul

inline namespace TESSERAE_ISA {

KernelStatus pack_b_simd(const OpRecord& op, int64_t tile, Scratch&) {
  matmul::pack_b_tile(op.as<PackBParams>(), tile, matmul::pack_b_panels);
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
