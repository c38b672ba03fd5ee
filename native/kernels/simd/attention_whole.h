// attention with contiguous keys and values: packs a key block of both, or reads them in place for few rows (decoding);
// the bits are the same. Included by attention.cpp.
#pragma once

#include <type_traits>

#include "kernels/simd/attention_rows.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

constexpr int64_t kMostInPlace = 64;  // up to this v_dim most of a block of values fits into L1, unpacked

// The rows of keys and values of one head: the key-value source that attention_rows.h reads.
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
    few_scores_of<count>(p.dim, q, k + begin * p.k_row, p.k_row, keys, scores);
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
    few_outputs_of<count>(keys, weights, rows_at, p.v_dim, keep, take, total, total_stride);
  }

  void panels(const RowSet& rows, int64_t begin, int64_t keys, BlockPanels& panels) const {
    pack_k(k + begin * p.k_row, p.k_row, keys, p.dim, rows.k);
    for (int64_t key = 0; key < keys; key += kPanel) panels.keys[key / kPanel] = rows.k + key * p.dim;
    const T* values = v + begin * p.v_row;
    if constexpr (std::is_same_v<T, float>) {
      if (stand_in_panels(values)) {
        panels.values = {values, p.v_row, kPanel};
        return;
      }
    }
    pack_v(values, p.v_row, keys, p.v_dim, rows.v, kAttentionKeyBlock * kPanel);
    panels.values = {rows.v, kPanel, kAttentionKeyBlock * kPanel};
  }

  // Whether values need no packing: rows are contiguous, and each panel of a row is one cache line.
  bool stand_in_panels(const float* values) const {
    return p.v_row == p.v_dim && p.v_dim % kPanel == 0 && p.v_dim <= kMostInPlace &&
           reinterpret_cast<uintptr_t>(values) % kCacheLineBytes == 0;
  }
};

template <typename T>
void attend_whole(const AttentionParams& p, const AttentionTile& tile, Scratch& scratch) {
  const Rows<T> source = {p, static_cast<const T*>(p.k) + tile.batch * p.k_batch + tile.kv_head * p.k_head,
                          static_cast<const T*>(p.v) + tile.batch * p.v_batch + tile.kv_head * p.v_head};
  attend_tile(p, tile, scratch, [&](const RowSet& rows) { attend_rows(rows, source); });
}

inline KernelStatus whole_tile(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& p = op.as<AttentionParams>();
  const AttentionTile tile = attention_tile(p, tile_index);
  if (p.kv_dtype == DType::f16) attend_whole<uint16_t>(p, tile, scratch);
  else attend_whole<float>(p, tile, scratch);
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
