// pack_b with AVX-512: the kernel, and the packing of one block for matmul. A row of a panel is one vector.
#include "kernels/simd/pack_b.h"

#include <algorithm>

#include "kernels/avx512/matmul_vector.h"

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
      _mm_prefetch(reinterpret_cast<const char*>(row + kPackRowsAhead * rs), _MM_HINT_T0);
      _mm512_storeu_ps(out, load16(row));
    }
    if (rest > 0) _mm512_storeu_ps(out, load_first16(row, rest));
  }
}

// Packs a panel of B with contiguous columns (weights stored [n, k]): transposes a cache line of each of sixteen
// columns in registers.
template <typename Element>
void pack_panel_of_columns(const Element* b, int64_t cs, int64_t k, int64_t columns, float* to) {
  constexpr int64_t kLine = kCacheLineBytes / static_cast<int64_t>(sizeof(Element));
  const __mmask16 present = first_of_16(columns);
  const Element* column[16];
  for (int64_t j = 0; j < 16; ++j) column[j] = b + std::min(j, columns - 1) * cs;
  for (int64_t p = 0; p < k; p += kLine, to += kLine * kNr) {
    const int64_t count = std::min(k - p, kLine);
    __m512 rows[16];
    if (count == kLine) {
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j) rows[j] = _mm512_loadu_ps(reinterpret_cast<const float*>(column[j] + p));
    } else {
      for (int j = 0; j < 16; ++j) {
        alignas(64) Element line[kLine] = {};
        std::memcpy(line, column[j] + p, static_cast<size_t>(count) * sizeof(Element));
        rows[j] = _mm512_load_ps(reinterpret_cast<const float*>(line));
      }
    }
    transpose16(rows);
#pragma GCC unroll 16
    for (int q = 0; q < 16; ++q) {
      if constexpr (sizeof(Element) == 4) {
        if (q < count) _mm512_storeu_ps(to + q * kNr, _mm512_maskz_mov_ps(present, rows[q]));
      } else {
        const __m512i pairs = _mm512_castps_si512(rows[q]);
        if (2 * q < count) {
          _mm512_storeu_ps(to + 2 * q * kNr, _mm512_maskz_mov_ps(present, low_of_pair<Element>(pairs)));
        }
        if (2 * q + 1 < count) {
          _mm512_storeu_ps(to + (2 * q + 1) * kNr, _mm512_maskz_mov_ps(present, high_of_pair<Element>(pairs)));
        }
      }
    }
  }
}

template <typename Element>
void pack_panels(const PackSource& source, int64_t k, int64_t columns, float* to) {
  const auto* b = static_cast<const Element*>(source.data);
  if (source.cs == 1) return pack_rows(b, source.rs, k, columns, to);
  if (source.rs != 1) return pack_strided(b, source.rs, source.cs, k, columns, to);
  for (int64_t j = 0; j < columns; j += kNr, to += k * kNr) {
    pack_panel_of_columns(b + j * source.cs, source.cs, k, std::min(columns - j, kNr), to);
  }
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
