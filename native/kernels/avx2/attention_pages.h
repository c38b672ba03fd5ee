// paged_attention: keys stand in the pages as the products take them, so nothing is packed of them in f32; f16 and q8_0 are
// widened into the scratch for many rows, in registers for few (decoding). Called by the paged_attention of each vector
// instruction set.
#pragma once

#include "kernels/avx2/attention_rows.h"
#include "kernels/paged_attention.h"

namespace tesserae::attention {
inline namespace TESSERAE_ISA {

static_assert(kKeyPanel == kPanel, "pages hold the panels of the micro-kernel");

struct Quantized;  // stands for q8_0 where others have an element type

inline void prefetch_bytes(const unsigned char* p, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += int64_t{kCacheLineBytes}) {
    _mm_prefetch(reinterpret_cast<const char*>(p + at), _MM_HINT_T0);
  }
}

inline __m256 integers8(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

// `panels` panels of 16 keys.
template <typename T, int panels>
struct PanelReader {
  const T* at[panels];

  static int64_t bytes(int64_t dim) { return dim * kKeyPanel * static_cast<int64_t>(sizeof(T)); }
  PanelReader(const unsigned char* const (&panel)[panels]) {
    for (int i = 0; i < panels; ++i) at[i] = reinterpret_cast<const T*>(panel[i]);
  }
  template <int rows>
  inline __attribute__((always_inline)) void scores(__m256 (&c)[rows][2 * panels], int64_t dim, const float* q) const {
    accumulate_loaded(c, q, dim, 0, dim, [&](int64_t d, int i) __attribute__((always_inline)) {
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
  template <int rows>
  inline __attribute__((always_inline)) void scores(__m256 (&c)[rows][2 * panels], int64_t dim, const float* q) const {
    for (int64_t block = 0; block < dim; block += kQuantizedBlock) {
      const int8_t* integers[panels];
      __m256 scales[2 * panels];
#pragma GCC unroll 2
      for (int i = 0; i < panels; ++i) {
        integers[i] = reinterpret_cast<const int8_t*>(at[i]) + block * (kKeyPanel + 1);
        const auto* halves = reinterpret_cast<const uint16_t*>(integers[i] + kQuantizedBlock * kKeyPanel);
        scales[2 * i] = load8(halves);
        scales[2 * i + 1] = load8(halves + 8);
      }
      accumulate_loaded(c, q + block, dim, 0, kQuantizedBlock, [&](int64_t d, int i) __attribute__((always_inline)) {
        return _mm256_mul_ps(integers8(integers[i / 2] + d * kKeyPanel + i % 2 * 8), scales[i]);
      });
    }
  }
};
static_assert((kQuantizedBlock + 2) * kKeyPanel == kQuantizedBlock * (kKeyPanel + 1), "bytes of a block of a panel");

template <int rows, typename T, int panels>
void panel_scores(int64_t dim, const float* q, const unsigned char* const (&panel)[panels], float* scores) {
  __m256 c[rows][2 * panels];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < 2 * panels; ++i) c[r][i] = _mm256_setzero_ps();
  }
  PanelReader<T, panels>(panel).scores(c, dim, q);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < 2 * panels; ++i) _mm256_store_ps(scores + r * kAttentionKeyBlock + i * 8, c[r][i]);
  }
}

// Up to kFewKeys quantized rows of V, their scales widened.
struct QuantizedValueRows {
  const int8_t* first;
  int64_t stride;
  int64_t blocks;
  alignas(32) float scales[kFewKeys * kAttentionMaxDim / kQuantizedBlock];

  __m256 load(int64_t row, int64_t column) const {
    const __m256 scale = _mm256_broadcast_ss(scales + row * blocks + column / kQuantizedBlock);
    return _mm256_mul_ps(integers8(first + row * stride + column), scale);
  }
};

// One head's keys and values in the pages of a cache.
template <typename T>
struct Pages {
  const PagedAttentionParams& p;
  int64_t head;

  int64_t dim() const { return p.attention.dim; }
  int64_t v_dim() const { return p.attention.v_dim; }
  int64_t in_page(int64_t key) const { return key % p.cache.page_positions; }

  const unsigned char* key_panel(int64_t key) const {
    return keys_in_page(p.cache, key, head, dim()) + in_page(key) / kKeyPanel * PanelReader<T, 1>::bytes(dim());
  }

  void prefetch_keys(int64_t begin, int64_t keys) const {
    if (keys > 0) prefetch_bytes(key_panel(begin), PanelReader<T, 1>::bytes(dim()));
  }
  void prefetch_values(int64_t begin, int64_t keys) const {
    if (keys <= 0) return;
    const unsigned char* values = values_in_page(p.cache, begin, head, v_dim());
    if constexpr (std::is_same_v<T, Quantized>) {
      prefetch_bytes(values + in_page(begin) * v_dim(), keys * v_dim());
    } else {
      prefetch_bytes(values + in_page(begin) * v_dim() * int64_t{sizeof(T)}, keys * v_dim() * int64_t{sizeof(T)});
    }
  }

  template <int count>
  void few_scores(const float* q, int64_t begin, int64_t keys, float* scores) const {
    constexpr int panels = count <= 2 ? 2 : 1;
    for (int64_t key = 0; key < keys;) {
      if (panels == 2 && key + kKeyPanel < keys) {
        prefetch_keys(begin + key + 2 * kKeyPanel, keys - key - 2 * kKeyPanel);
        prefetch_keys(begin + key + 3 * kKeyPanel, keys - key - 3 * kKeyPanel);
        const unsigned char* panel[2] = {key_panel(begin + key), key_panel(begin + key + kKeyPanel)};
        panel_scores<count, T, 2>(dim(), q, panel, scores + key);
        key += 2 * kKeyPanel;
      } else {
        prefetch_keys(begin + key + kKeyPanel, keys - key - kKeyPanel);
        const unsigned char* panel[1] = {key_panel(begin + key)};
        panel_scores<count, T, 1>(dim(), q, panel, scores + key);
        key += kKeyPanel;
      }
    }
  }

  auto value_rows(int64_t key, int64_t count) const {
    const unsigned char* values = values_in_page(p.cache, key, head, v_dim());
    if constexpr (std::is_same_v<T, Quantized>) {
      QuantizedValueRows rows;
      rows.first = reinterpret_cast<const int8_t*>(values) + in_page(key) * v_dim();
      rows.stride = v_dim();
      rows.blocks = v_dim() / kQuantizedBlock;
      const auto* scales = reinterpret_cast<const uint16_t*>(values + p.cache.page_positions * v_dim());
      scales += in_page(key) * rows.blocks;
      int64_t i = 0;
      for (; i + 8 <= count * rows.blocks; i += 8) _mm256_store_ps(rows.scales + i, load8(scales + i));
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
      const int64_t next = key + kFewKeys;
      prefetch_values(begin + next, std::min(most - next, kFewKeys));
      return value_rows(begin + key, std::min(most - key, kFewKeys));
    };
    few_outputs_avx2<count>(keys, weights, rows_at, v_dim(), keep, take, total, total_stride);
  }

  void pack(const RowSet& rows, int64_t begin, int64_t keys, KeyPanels& panels) const {
    for (int64_t key = 0; key < keys; key += kKeyPanel) {
      const unsigned char* panel = key_panel(begin + key);
      float* widened = rows.k + key * dim();
      panels[key / kKeyPanel] = widened;
      if constexpr (std::is_same_v<T, float>) {
        panels[key / kKeyPanel] = reinterpret_cast<const float*>(panel);
      } else if constexpr (std::is_same_v<T, Quantized>) {
        widen_panel(panel, widened);
      } else {
        const auto* halves = reinterpret_cast<const uint16_t*>(panel);
        for (int64_t i = 0; i < dim() * kKeyPanel; i += 8) _mm256_store_ps(widened + i, load8(halves + i));
      }
      pack_values(begin + key, std::min(kKeyPanel, keys - key), rows.v + key * kPanel);
    }
  }

  void widen_panel(const unsigned char* panel, float* widened) const {
    for (int64_t block = 0; block < dim(); block += kQuantizedBlock) {
      const auto* integers = reinterpret_cast<const int8_t*>(panel) + block * (kKeyPanel + 1);
      const auto* halves = reinterpret_cast<const uint16_t*>(integers + kQuantizedBlock * kKeyPanel);
      const __m256 scales[2] = {load8(halves), load8(halves + 8)};
      for (int64_t d = 0; d < kQuantizedBlock; ++d, widened += kKeyPanel) {
        _mm256_store_ps(widened, _mm256_mul_ps(integers8(integers + d * kKeyPanel), scales[0]));
        _mm256_store_ps(widened + 8, _mm256_mul_ps(integers8(integers + d * kKeyPanel + 8), scales[1]));
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
          _mm256_store_ps(target, values.load(row, column));
        }
      }
    } else {
      pack_v(values.first, values.stride, count, v_dim(), packed, panel_stride);
    }
  }
};
static_assert(kFewKeys == kKeyPanel && kAttentionKeyBlock % kKeyPanel == 0, "runs of values do not cross pages");

template <typename Micro, typename T>
void attend_pages(const PagedAttentionParams& p, const AttentionTile& tile, Scratch& scratch) {
  const Pages<T> pages = {p, tile.kv_head};
  attend_tile(p.attention, tile, scratch, [&](const RowSet& rows) { attend_rows<Micro>(rows, pages); });
}

template <typename Micro>
KernelStatus paged_tile_with(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& p = op.as<PagedAttentionParams>();
  const AttentionTile tile = attention_tile(p.attention, tile_index);
  if (!pages_present(p, tile)) return KernelStatus::index_out_of_range;
  switch (p.cache.type) {
    case KeyValueType::f32: attend_pages<Micro, float>(p, tile, scratch); break;
    case KeyValueType::f16: attend_pages<Micro, uint16_t>(p, tile, scratch); break;
    case KeyValueType::q8_0: attend_pages<Micro, Quantized>(p, tile, scratch); break;
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae::attention
