// attention with keys and values in one piece: packs a key block of both, or reads them in place for few rows
// (decoding); the bits are the same. Called by the attention of each vector instruction set.
#pragma once

#include "kernels/avx2/attention_rows.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

// One head's keys and values, row after row.
template <typename T>
struct Rows {
  const AttentionParams& p;
  const T* k;
  const T* v;

  void prefetch_keys(int64_t begin, int64_t keys) const { prefetch_rows(k + begin * p.k_row, p.k_row, p.dim, keys); }
  void prefetch_values(int64_t begin, int64_t keys) const {
    prefetch_rows(v + begin * p.v_row, p.v_row, p.v_dim, keys);
  }

  template <int count>
  void few_scores(const float* q, int64_t begin, int64_t keys, float* scores) const {
    few_scores_avx2<count>(p.dim, q, k + begin * p.k_row, p.k_row, keys, scores);
  }

  template <int count>
  void few_outputs(int64_t begin, const int32_t* keys, const float* weights, const float* keep, const float* take,
                   float* total, int64_t total_stride) const {
    const T* first = v + begin * p.v_row;
    const auto rows_at = [&](int64_t key, int64_t most) {
      const int64_t next = key + kFewKeys;
      prefetch_rows(first + next * p.v_row, p.v_row, p.v_dim, std::min(most - next, kFewKeys));
      return ValueRows<T>{first + key * p.v_row, p.v_row};
    };
    few_outputs_avx2<count>(keys, weights, rows_at, p.v_dim, keep, take, total, total_stride);
  }

  void pack(const RowSet& rows, int64_t begin, int64_t keys, KeyPanels& panels) const {
    pack_k(k + begin * p.k_row, p.k_row, keys, p.dim, rows.k);
    pack_v(v + begin * p.v_row, p.v_row, keys, p.v_dim, rows.v, kAttentionKeyBlock * kPanel);
    for (int64_t key = 0; key < keys; key += kPanel) panels[key / kPanel] = rows.k + key * p.dim;
  }
};

template <typename Micro, typename T>
void attend_whole(const AttentionParams& p, const AttentionTile& tile, Scratch& scratch) {
  const Rows<T> source = {p, static_cast<const T*>(p.k) + tile.batch * p.k_batch + tile.kv_head * p.k_head,
                          static_cast<const T*>(p.v) + tile.batch * p.v_batch + tile.kv_head * p.v_head};
  attend_tile(p, tile, scratch, [&](const RowSet& rows) { attend_rows<Micro>(rows, source); });
}

template <typename Micro>
KernelStatus attention_tile_with(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& p = op.as<AttentionParams>();
  const AttentionTile tile = attention_tile(p, tile_index);
  if (p.kv_dtype == DType::f16) attend_whole<Micro, uint16_t>(p, tile, scratch);
  else attend_whole<Micro, float>(p, tile, scratch);
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
