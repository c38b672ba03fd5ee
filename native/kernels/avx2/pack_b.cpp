// pack_b with AVX2: the kernel, and the packing of one block for matmul.
#include "kernels/avx2/pack_b.h"

#include <algorithm>

#include "kernels/avx2/matmul_vector.h"
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
      _mm256_storeu_ps(out, load8(row));
      _mm256_storeu_ps(out + 8, load8(row + 8));
    }
    if (rest > 0) {
      _mm256_storeu_ps(out, rest >= 8 ? load8(row) : load_first(row, rest));
      _mm256_storeu_ps(out + 8, rest > 8 ? load_first(row + 8, rest - 8) : _mm256_setzero_ps());
    }
  }
}

// Packs eight columns of a panel of B with contiguous columns (weights stored [n, k]), by 8 × 8 transposes in
// registers.
template <typename Element>
void pack_half_panel_of_columns(const Element* b, int64_t cs, int64_t k, int64_t columns, float* to) {
  const Element* column[8];
  for (int64_t j = 0; j < 8; ++j) column[j] = b + std::min(j, columns - 1) * cs;
  const __m256 mask = _mm256_castsi256_ps(first_lanes(columns));
  __m256 rows[8];
  int64_t p = 0;
  for (; p + 8 <= k; p += 8) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) rows[j] = load8(column[j] + p);
    transpose8(rows);
#pragma GCC unroll 8
    for (int q = 0; q < 8; ++q) _mm256_storeu_ps(to + (p + q) * kNr, _mm256_and_ps(rows[q], mask));
  }
  if (p < k) {
    for (int j = 0; j < 8; ++j) rows[j] = load_first(column[j] + p, k - p);
    transpose8(rows);
    for (int64_t q = 0; q < k - p; ++q) _mm256_storeu_ps(to + (p + q) * kNr, _mm256_and_ps(rows[q], mask));
  }
}

template <typename Element>
void pack_columns(const Element* b, int64_t cs, int64_t k, int64_t columns, float* to) {
  for (int64_t j = 0; j < columns; j += kNr, to += k * kNr) {
    pack_half_panel_of_columns(b + j * cs, cs, k, std::min<int64_t>(columns - j, 8), to);
    if (j + 8 < columns) {
      pack_half_panel_of_columns(b + (j + 8) * cs, cs, k, std::min<int64_t>(columns - j - 8, 8), to + 8);
    } else {
      for (int64_t p = 0; p < k; ++p) _mm256_storeu_ps(to + p * kNr + 8, _mm256_setzero_ps());
    }
  }
}

template <typename Element>
void pack_strided(const Element* b, int64_t rs, int64_t cs, int64_t k, int64_t columns, float* to) {
  for (int64_t j = 0; j < columns; j += kNr) {
    for (int64_t p = 0; p < k; ++p, to += kNr) {
      const Element* from = b + p * rs + j * cs;
      _mm256_storeu_ps(to, load_strided(from, cs, columns - j));
      _mm256_storeu_ps(to + 8, load_strided(from + 8 * cs, cs, columns - j - 8));
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

void pack_b_panels_avx2(const PackSource& source, int64_t k, int64_t columns, float* to) {
  if (source.dtype == DType::f16) pack_panels<Half>(source, k, columns, to);
  else if (source.dtype == DType::bf16) pack_panels<Bfloat>(source, k, columns, to);
  else pack_panels<float>(source, k, columns, to);
}

void pack_b_tile(const PackBParams& p, int64_t tile, PackPanels pack_panels) {
  const int64_t blocks = k_block_count(p.k, p.kc);
  const int64_t groups = (panel_count(p.n) + p.tile_panels - 1) / p.tile_panels;
  const int64_t batch = tile / (groups * blocks);
  const int64_t first_k = tile / groups % blocks * k_block_size(p.k, p.kc);
  const int64_t block_k = std::min(k_block_size(p.k, p.kc), p.k - first_k);
  const int64_t first_panel = tile % groups * p.tile_panels;
  const int64_t first_column = first_panel * kNr;
  const int64_t columns = std::min(p.tile_panels * kNr, p.n - first_column);

  const auto dtype = static_cast<DType>(p.b_dtype);
  const PackSource matrix = {p.b, dtype, p.b_rs, p.b_cs};
  PackSource source = pack_source_at(matrix, first_k, first_column);
  source.data = static_cast<const char*>(source.data) + row_offset(p.batch, p.b_batch, batch) * dtype_bytes(dtype);
  float* image = p.packed + row_offset(p.batch, p.packed_batch, batch);
  pack_panels(source, block_k, columns, image + packed_panel_offset(p.n, first_k, block_k, first_panel));
}

}  // namespace matmul

KernelStatus pack_b_avx2(const OpRecord& op, int64_t tile, Scratch&) {
  matmul::pack_b_tile(op.as<PackBParams>(), tile, matmul::pack_b_panels_avx2);
  return KernelStatus::ok;
}

}  // namespace tesserae
