// pack_b for the vector sets: the kernel, and the packing of one block for matmul.
#include "kernels/simd/pack_b.h"

#include <algorithm>

#include "kernels/pack_b.h"
#include "kernels/simd/column_square.h"
#include "kernels/simd/matmul_vector.h"

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
      prefetch(row + kPackRowsAhead * rs);
      store_f32x16(out, load16(row));
    }
    if (rest > 0) store_f32x16(out, load_first16(row, rest));
  }
}

// Packs up to kFloats columns of a panel of B with contiguous columns (weights stored [n, k]), by transposes in
// registers. The other columns are filled with zeros.
template <typename Element>
void pack_square_columns(const Element* b, int64_t cs, int64_t k, int64_t columns, float* to) {
  using Square = ColumnSquare<Element>;
  const auto present = LanesOf<Floats>::first(columns);
  const Element* column[Square::kColumns];
  for (int64_t c = 0; c < Square::kColumns; ++c) column[c] = b + std::min(c, columns - 1) * cs;
  int64_t p = 0;
  for (; p + Square::kSteps <= k; p += Square::kSteps, to += Square::kSteps * kNr) {
    Square square;
#pragma GCC unroll 16
    for (int c = 0; c < Square::kColumns; ++c) square.load(c, column[c] + p);
    square.transpose();
#pragma GCC unroll 32
    for (int q = 0; q < Square::kSteps; ++q) store_vector(to + q * kNr, LanesOf<Floats>::keep(square.step(q), present));
  }
  if (p < k) {
    Square square;
    for (int c = 0; c < Square::kColumns; ++c) square.load_first(c, column[c] + p, k - p);
    square.transpose();
    for (int64_t q = 0; q < k - p; ++q) store_vector(to + q * kNr, LanesOf<Floats>::keep(square.step(q), present));
  }
}

template <typename Element>
void pack_columns(const Element* b, int64_t cs, int64_t k, int64_t columns, float* to) {
  for (int64_t j = 0; j < columns; j += kNr, to += k * kNr) {
    for (int64_t part = 0; part < kNr; part += kFloats) {
      if (j + part < columns) {
        pack_square_columns(b + (j + part) * cs, cs, k, std::min(columns - j - part, kFloats), to + part);
      } else {
        for (int64_t p = 0; p < k; ++p) store_vector(to + p * kNr + part, splat<Floats>(0));
      }
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
