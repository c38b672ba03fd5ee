// The reader of cache pages for paged_attention, included by paged_attention.cpp.
// Pages store keys as panels, so f32 keys are not packed. f16 and q8_0 keys are widened to f32: into scratch for many
// rows, in registers for few rows (decoding).
#pragma once

#include "kernels/caches.h"
#include "kernels/simd/attention_rows.h"
#include "kernels/simd/quantize_block.h"
#include "kernels/simd/rms_norm_row.h"
#include "kernels/simd/rotate.h"
#include "kernels/simd/store_row.h"
#include "kernels/paged_attention.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

static_assert(kKeyPanel == kPanel, "pages hold the panels of the micro-kernel");

struct Quantized;  // a tag: the template argument for q8_0, where other cache types pass their element type

// Up to this many heads of one query are computed in groups of kFewRows without packing: the later groups find the keys
// and values of the first group in the caches.
constexpr int64_t kMostInParts = 2 * kFewRows;

// Distance of the prefetches of keys, in keys. As many keys are prefetched before the first scores.
constexpr int64_t kKeysAhead = 32;

// Prefetches of one panel of keys, or of 16 rows of values, spread out: one cache line at a time, between the products
// of another panel. A burst of prefetches would stall the products until memory has accepted them. Floats go into L2 where
// L1 is small: an L1 that waits for 24 lines at a time holds a core of Zen 4 below half of what it can read.
template <typename T>
struct Ahead {
  static constexpr int64_t kBytes = kKeyPanel * static_cast<int64_t>(sizeof(T));
  const unsigned char* first;
  bool into_l2;

  // Prefetches the bytes at the offset of row d of a panel, once per cache line.
  inline __attribute__((always_inline)) void ask(int64_t d) const {
    if (kBytes < int64_t{kCacheLineBytes} && d % (int64_t{kCacheLineBytes} / kBytes) != 0) return;
    if (into_l2) prefetch_far(first + d * kBytes);
    else prefetch(first + d * kBytes);
  }
  void ask_for_all(int64_t dim) const {
    for (int64_t d = 0; d < dim; ++d) ask(d);
  }
};

inline F32x8 integers8(const int8_t* p) {
  return i32_to_f32(i8_to_i32(load_bits64(p)));
}

// Computes scores from `panels` panels of 16 keys, widening elements in registers.
template <typename T, int panels>
struct PanelReader {
  const T* at[panels];

  static int64_t bytes(int64_t dim) { return dim * kKeyPanel * static_cast<int64_t>(sizeof(T)); }
  PanelReader(const unsigned char* const (&panel)[panels]) {
    for (int i = 0; i < panels; ++i) at[i] = reinterpret_cast<const T*>(panel[i]);
  }
  template <int rows, typename Ask>
  inline __attribute__((always_inline)) void scores(F32x8 (&c)[rows][2 * panels], int64_t dim, const float* q, Ask ask) const {
    accumulate_loaded(c, q, dim, 0, dim, [&](int64_t d, int i) __attribute__((always_inline)) {
      if (i == 0) ask(d);
      return load8(at[i / 2] + d * kKeyPanel + i % 2 * 8);
    });
  }
};

template <int panels>
struct PanelReader<Quantized, panels> {
  const unsigned char* at[panels];

  static int64_t bytes(int64_t dim) { return quantized_panel_bytes(dim); }
  PanelReader(const unsigned char* const (&panel)[panels]) {
    for (int i = 0; i < panels; ++i) at[i] = panel[i];
  }
  template <int rows, typename Ask>
  inline __attribute__((always_inline)) void scores(F32x8 (&c)[rows][2 * panels], int64_t dim, const float* q, Ask ask) const {
    for (int64_t block = 0; block < dim; block += kQuantizedBlock) {
      const int8_t* integers[panels];
      F32x8 scales[2 * panels];
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) {
        integers[i] = reinterpret_cast<const int8_t*>(at[i]) + block * (kKeyPanel + 1);
        const auto* halves = reinterpret_cast<const uint16_t*>(integers[i] + kQuantizedBlock * kKeyPanel);
        scales[2 * i] = load8(halves);
        scales[2 * i + 1] = load8(halves + 8);
      }
      accumulate_loaded(c, q + block, dim, 0, kQuantizedBlock, [&](int64_t d, int i) __attribute__((always_inline)) {
        if (i == 0) ask(block + d);
        return mul(integers8(integers[i / 2] + d * kKeyPanel + i % 2 * 8), scales[i]);
      });
    }
  }
};
static_assert((kQuantizedBlock + 2) * kKeyPanel == kQuantizedBlock * (kKeyPanel + 1), "bytes of a block of a panel");

// Writes the scores of `rows` queries with the keys of `panels` panels. Calls ask(d) at each step d of dim, where the
// caller places its prefetches.
template <int rows, typename T, int panels, typename Ask>
void panel_scores(int64_t dim, const float* q, const unsigned char* const (&panel)[panels], float* scores, Ask ask) {
  F32x8 c[rows][2 * panels];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < 2 * panels; ++i) c[r][i] = f32x8(0);
  }
  PanelReader<T, panels>(panel).scores(c, dim, q, ask);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < 2 * panels; ++i) store_aligned_f32x8(scores + r * kAttentionKeyBlock + i * 8, c[r][i]);
  }
}

// Up to kFewKeys quantized rows of V, with their scales widened to f32.
struct QuantizedValueRows {
  const int8_t* first;
  int64_t stride;
  int64_t blocks;
  alignas(32) float scales[kFewKeys * kAttentionMaxDim / kQuantizedBlock];

  F32x8 load(int64_t row, int64_t column) const {
    const F32x8 scale = broadcast_f32x8(scales + row * blocks + column / kQuantizedBlock);
    return mul(integers8(first + row * stride + column), scale);
  }
};

// The keys and values of one head in the pages of a sequence: the key-value source that attention_rows.h reads.
template <typename T>
struct Pages {
  using Stored = std::conditional_t<std::is_same_v<T, Quantized>, int8_t, T>;

  const AttentionParams& p;
  const SequencePages& pages;
  int64_t first;  // the keys that are read are first .. limit - 1; `first` is the start of a key block
  int64_t limit;
  int64_t page_positions;
  int64_t keys_offset;  // of the head, in a page
  int64_t values_offset;
  int64_t panel_bytes;
  int64_t value_bytes;  // of a row of values, without scales
  bool into_l2;         // what is prefetched
  const unsigned char* const* next_panels;  // of the next item

  Pages(const KeyValuePages& cache, const PagedItem& item)
      : p(item.attention),
        pages(item.pages),
        first(item.first),
        limit(item.limit),
        page_positions(cache.page_positions),
        keys_offset(keys_of_head(cache, item.tile.kv_head, p.dim)),
        values_offset(values_of_head(cache, item.tile.kv_head, p.v_dim)),
        panel_bytes(PanelReader<T, 1>::bytes(p.dim)),
        value_bytes(p.v_dim * static_cast<int64_t>(sizeof(Stored))),
        into_l2(!std::is_same_v<T, Quantized> && has_small_l1()),
        next_panels(item.next_panels) {}

  int64_t dim() const { return p.dim; }
  int64_t v_dim() const { return p.v_dim; }
  int64_t in_page(int64_t key) const { return key & (page_positions - 1); }

  const unsigned char* key_panel(int64_t key) const {
    return pages.page(key) + keys_offset + in_page(key) / kKeyPanel * panel_bytes;
  }

  const unsigned char* value_row(int64_t key) const {
    return pages.page(key) + values_offset + in_page(key) * value_bytes;
  }
  Ahead<Stored> ahead(const unsigned char* first_line) const { return {first_line, into_l2}; }
  // The panel kKeysAhead keys after `key`; beyond the last one a panel of the next item, or else the last one again.
  Ahead<Stored> keys_ahead(int64_t key) const {
    const int64_t last = (limit - 1) / kKeyPanel * kKeyPanel;
    if (key + kKeysAhead <= last) return ahead(key_panel(key + kKeysAhead));
    const unsigned char* next = next_panels[key < last ? 0 : 1];
    return ahead(next != nullptr ? next : key_panel(last));
  }

  void ask_for_first_keys() const {
    for (int64_t key = first; key < std::min(first + kKeysAhead, limit); key += kKeyPanel) {
      ahead(key_panel(key)).ask_for_all(dim());
    }
  }
  // Nothing to do: what attention_rows.h prefetches at the end of a block was prefetched between the products.
  void prefetch_keys(int64_t, int64_t) const {}
  void prefetch_values(int64_t, int64_t) const {}

  // Scores of `count` queries with `panels` panels. Between the products it prefetches later keys, and the values of
  // the keys in use.
  template <int count, int panels>
  void scores_of_panels(const float* q, int64_t key, float* scores) const {
    const unsigned char* panel[panels];
    Ahead<Stored> keys[panels], values[panels];
    for (int i = 0; i < panels; ++i) {
      panel[i] = key_panel(key + i * kKeyPanel);
      keys[i] = keys_ahead(key + i * kKeyPanel);
      values[i] = ahead(value_row(key + i * kKeyPanel));
    }
    panel_scores<count, T>(dim(), q, panel, scores, [&](int64_t d) __attribute__((always_inline)) {
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) {
        keys[i].ask(d);
        values[i].ask(d);
      }
    });
  }

  template <int count>
  void few_scores(const float* q, int64_t begin, int64_t keys, float* scores) const {
    int64_t key = 0;
    if (count <= 2) {
      for (; key + kKeyPanel < keys; key += 2 * kKeyPanel) scores_of_panels<count, 2>(q, begin + key, scores + key);
    }
    for (; key < keys; key += kKeyPanel) scores_of_panels<count, 1>(q, begin + key, scores + key);
  }

  auto value_rows(int64_t key, int64_t count) const {
    const unsigned char* values = pages.page(key) + values_offset;
    if constexpr (std::is_same_v<T, Quantized>) {
      QuantizedValueRows rows;
      rows.first = reinterpret_cast<const int8_t*>(values) + in_page(key) * v_dim();
      rows.stride = v_dim();
      rows.blocks = v_dim() / kQuantizedBlock;
      const auto* scales = reinterpret_cast<const uint16_t*>(values + page_positions * v_dim());
      scales += in_page(key) * rows.blocks;
      int64_t i = 0;
      for (; i + 8 <= count * rows.blocks; i += 8) store_aligned_f32x8(rows.scales + i, load8(scales + i));
      for (; i < count * rows.blocks; ++i) rows.scales[i] = load1(scales + i);
      return rows;
    } else {
      return ValueRows<T>{reinterpret_cast<const T*>(values) + in_page(key) * v_dim(), v_dim()};
    }
  }

  template <int count>
  void few_outputs(int64_t begin, const int32_t* keys, const float* weights, const float* keep, const float* take,
                   float* total, int64_t total_stride) const {
    const auto rows_at = [&](int64_t key, int64_t most) {
      const int64_t next_block = begin + kAttentionKeyBlock + key;
      if (key + kFewKeys < most) ahead(value_row(begin + key + kFewKeys)).ask_for_all(v_dim());
      if (next_block < limit) ahead(key_panel(next_block)).ask_for_all(dim());
      return value_rows(begin + key, std::min(most - key, kFewKeys));
    };
    few_outputs_of<count>(keys, weights, rows_at, v_dim(), keep, take, total, total_stride);
  }

  void panels(const RowSet& rows, int64_t begin, int64_t keys, BlockPanels& panels) const {
    panels.values = {rows.v, kPanel, kAttentionKeyBlock * kPanel};
    for (int64_t key = 0; key < keys; key += kKeyPanel) {
      const unsigned char* panel = key_panel(begin + key);
      float* widened = rows.k + key * dim();
      panels.keys[key / kKeyPanel] = widened;
      if constexpr (std::is_same_v<T, float>) {
        panels.keys[key / kKeyPanel] = reinterpret_cast<const float*>(panel);
      } else if constexpr (std::is_same_v<T, Quantized>) {
        widen_panel(panel, widened);
      } else {
        const auto* halves = reinterpret_cast<const uint16_t*>(panel);
        for (int64_t i = 0; i < dim() * kKeyPanel; i += 8) store_aligned_f32x8(widened + i, load8(halves + i));
      }
      pack_values(begin + key, std::min(kKeyPanel, keys - key), rows.v + key * kPanel);
    }
  }

  void widen_panel(const unsigned char* panel, float* widened) const {
    for (int64_t block = 0; block < dim(); block += kQuantizedBlock) {
      const auto* integers = reinterpret_cast<const int8_t*>(panel) + block * (kKeyPanel + 1);
      const auto* halves = reinterpret_cast<const uint16_t*>(integers + kQuantizedBlock * kKeyPanel);
      const F32x8 scales[2] = {load8(halves), load8(halves + 8)};
      for (int64_t d = 0; d < kQuantizedBlock; ++d, widened += kKeyPanel) {
        store_aligned_f32x8(widened, mul(integers8(integers + d * kKeyPanel), scales[0]));
        store_aligned_f32x8(widened + 8, mul(integers8(integers + d * kKeyPanel + 8), scales[1]));
      }
    }
  }

  void pack_values(int64_t key, int64_t count, float* packed) const {
    constexpr int64_t panel_stride = kAttentionKeyBlock * kPanel;
    const auto values = value_rows(key, count);
    if constexpr (std::is_same_v<T, Quantized>) {
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t column = 0; column < v_dim(); column += 8) {
          float* target = packed + column / kPanel * panel_stride + row * kPanel + column % kPanel;
          store_aligned_f32x8(target, values.load(row, column));
        }
      }
    } else {
      pack_v(values.first, values.stride, count, v_dim(), packed, panel_stride);
    }
  }
};
static_assert(kFewKeys == kKeyPanel && kAttentionKeyBlock % kKeyPanel == 0, "runs of values do not cross pages");

// Calls attend_rows(rows, pages) for as many rows of an item at a time as are computed together.
template <typename T, typename AttendRows>
void attend_pages_with(const KeyValuePages& cache, const PagedItem& item, Scratch& scratch, AttendRows attend_rows_of) {
  const Pages<T> pages(cache, item);
  const AttentionTile& tile = item.tile;
  const auto attend = [&](const AttentionTile& part) {
    attend_tile(item.attention, part, scratch, [&](const RowSet& rows) { attend_rows_of(rows, pages); });
  };
  const bool in_parts = tile.queries == 1 && tile.heads <= kMostInParts;
  if (in_parts || tile.queries * tile.heads <= kFewRows) pages.ask_for_first_keys();
  if (!in_parts) return attend(tile);
  for (int64_t head = 0; head < tile.heads; head += kFewRows) {
    AttentionTile part = tile;
    part.first_head += head;
    part.heads = std::min(kFewRows, tile.heads - head);
    attend(part);
  }
}

template <typename T>
void attend_pages(const KeyValuePages& cache, const PagedItem& item, Scratch& scratch) {
  attend_pages_with<T>(cache, item, scratch, [](const RowSet& rows, const Pages<T>& pages) { attend_rows(rows, pages); });
}

// What a step that stores its rows does to their heads first: the norm, then the rotation. The factors of the rotation are
// kept from one head of a position to the next.
struct HeadPreparation {
  const HeadNorms& norms;
  RotationFactors factors;
  int64_t dim;
  int64_t position;  // of the factors; -1 for none

  HeadPreparation(const HeadNorms& norms_of_heads, const Rotation& rotation, float* cosines, float* sines, int64_t width)
      : norms(norms_of_heads), factors{rotation, cosines, sines}, dim(width), position(-1) {}
  // `weight` is that of the norm, or null for none; y may be x. At least one of norm and rotation is there.
  void apply(int64_t to, const float* weight, const float* x, float* y) {
    if (weight != nullptr) {
      rms_norm_row(x, y, weight, norms.eps, dim);
      x = y;
    }
    if (factors.rotation.inverse_frequencies == nullptr) return;
    if (to != position) factors.move_to(static_cast<double>(to));
    position = to;
    factors.turn(x, y, dim);
  }
};

inline KernelStatus paged_tile(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<PagedAttentionParams>();
  // The factors are in scratch until the rows of an item are stored.
  float* cosines = reinterpret_cast<float*>(scratch.data);
  HeadPreparation heads(p.norms, p.rotation, cosines, cosines + kAttentionMaxDim, p.attention.dim);
  const auto prepare = [&](int64_t position, const float* weight, float* x) { heads.apply(position, weight, x, x); };
  const auto attend = [&](const PagedItem& item) {
    heads.position = -1;  // the scratch is used again
    switch (p.cache.type) {
      case KeyValueType::f32: return attend_pages<float>(p.cache, item, scratch);
      case KeyValueType::f16: return attend_pages<uint16_t>(p.cache, item, scratch);
      case KeyValueType::q8_0: return attend_pages<Quantized>(p.cache, item, scratch);
    }
  };
  // A function that is always inlined has no address.
  return attend_items(p, tile, prepare, store_row, fetch_row_place, attend, [](const float* x, int64_t columns, ActivationBlock* y) { quantize_row(x, columns, y); });
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
