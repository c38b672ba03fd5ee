// paged_attention_parts: attention_pages.h for a run of key blocks of one row, without merging them. Included by
// paged_attention_parts.cpp.
#pragma once

#include "kernels/paged_attention_parts.h"
#include "kernels/simd/attention_pages.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

static_assert(kPartPanel == kPanel, "the sums of a part are whole panels");

// Computes the parts of a run, from number `part` on. load(q, to): see begin_rows.
template <typename T, typename Load>
void attend_run(const PagedAttentionPartsParams& p, const PagedItem& item, int64_t part, Load load, Scratch& scratch) {
  const int64_t line = part_line(p.attention.v_dim);
  const int64_t stride = p.attention.heads * line;
  attend_pages_with<T>(p.cache, item, scratch, [&](const RowSet& rows, const Pages<T>& pages) {
    float* lines = p.parts.lines + part * stride + (rows.tile.first_head + rows.first) * line;
    attend_parts(rows, pages, {item.first, item.limit}, load, lines, stride);
  });
}

inline KernelStatus parts_tile(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<PagedAttentionPartsParams>();
  alignas(64) float cosines[kAttentionMaxDim];
  alignas(64) float sines[kAttentionMaxDim];
  HeadPreparation heads(p.norms, p.rotation, cosines, sines, p.attention.dim);
  const auto prepare = [&](int64_t position, const float* weight, const float* x, float* y) {
    heads.apply(position, weight, x, y);
  };
  const auto attend = [&](const PagedItem& item, int64_t part) {
    const auto load = [&](const float* q, float* to) -> const float* {
      if (!changes_heads(p)) return q;
      heads.apply(item.positions[0], p.norms.q_weight, q, to);
      return to;
    };
    switch (p.cache.type) {
      case KeyValueType::f32: return attend_run<float>(p, item, part, load, scratch);
      case KeyValueType::f16: return attend_run<uint16_t>(p, item, part, load, scratch);
      case KeyValueType::q8_0: return attend_run<Quantized>(p, item, part, load, scratch);
    }
  };
  return attend_runs(p, tile, prepare, store_row, attend);
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
