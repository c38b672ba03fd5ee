// A paged cache with several sequences, and runs of the paged kernels over it. Included by paged_attention_test.cpp and
// store_key_values_test.cpp.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "attention_case.h"
#include "kernel_sets.h"
#include "kernels/half.h"
#include "kernels/paged_attention.h"
#include "kernels/store_key_values.h"
#include "scratch.h"

namespace tesserae::paged_testing {

using namespace tesserae::attention_testing;

struct KernelTrio {
  Kernel store;
  Kernel attend;
  Kernel whole;
};

inline std::vector<KernelTrio> kernels() {
  std::vector<KernelTrio> all;
  for (const Isa isa : instruction_sets()) {
    all.push_back({kernel_named("store_key_values", isa), kernel_named("paged_attention", isa),
                   kernel_named("attention", isa)});
  }
  return all;
}

// Runs all tiles, the last one first, with scratch full of NaNs.
template <typename Params>
KernelStatus run(Kernel kernel, const Params& params, int64_t tiles) {
  auto op = std::make_unique<OpRecord>();
  std::memcpy(op->params, &params, sizeof params);
  Scratch scratch = test::fresh_scratch();
  for (int64_t tile = tiles; tile-- > 0;) {
    const KernelStatus status = kernel(*op, tile, scratch);
    if (status != KernelStatus::ok) return status;
  }
  return KernelStatus::ok;
}

constexpr int64_t kLayers = 2;
constexpr KeyValueType kTypes[] = {KeyValueType::f32, KeyValueType::f16, KeyValueType::q8_0};

// Widths of heads of which 24 elements can be rotated: not only whole vectors, where the type of the cache takes them.
inline std::array<int64_t, 4> head_dims(KeyValueType type) {
  if (type == KeyValueType::q8_0) return {32, 64, 96, 256};
  return {32, 37, 256, 27};
}

// Weights of the norms of the widest queries, then of the keys.
inline std::vector<float> head_weights() {
  std::vector<float> weights(512);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5f + static_cast<float>(i * 7 % 19) / 16;
  return weights;
}

// A cache of separately allocated pages, filled with NaN. It has kLayers layers; the one not under test is a guard.
// Sequence s has slot slot_of(s). The pages of the sequences are mixed, and not in the order of their positions.
struct Cache {
  KeyValuePages layout = {};
  std::vector<std::unique_ptr<unsigned char, decltype(&std::free)>> memory;
  std::vector<int64_t> directory;
  std::vector<int32_t> table;
  int64_t page_bytes;

  static int32_t slot_of(size_t sequence) { return static_cast<int32_t>(2 * sequence + 1); }

  // `spare`: pages of a slot beyond those that its sequence needs, all missing.
  Cache(KeyValueType type, const Shape& s, int64_t page_positions, int64_t layer, const std::vector<int64_t>& lengths,
        int64_t spare = 0) {
    layout.page_positions = page_positions;
    layout.type = type;
    const auto round = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
    const int64_t key_bytes = round(s.kv_heads * key_value_head_bytes(layout, s.dim));
    const int64_t layer_bytes = key_bytes + round(s.kv_heads * key_value_head_bytes(layout, s.v_dim));
    layout.keys_offset = layer * layer_bytes;
    layout.values_offset = layout.keys_offset + key_bytes;
    page_bytes = kLayers * layer_bytes;
    const auto pages_of = [&](int64_t length) { return (length + page_positions - 1) / page_positions; };
    int64_t pages = 0;
    for (const int64_t length : lengths) {
      pages += pages_of(length);
      layout.slot_pages = std::max(layout.slot_pages, pages_of(length) + spare);
    }
    layout.slots = 2 * static_cast<int64_t>(lengths.size()) + 1;
    table.assign(static_cast<size_t>(layout.slots * layout.slot_pages), -1);
    // Number n has a page where n % 3 == 1.
    directory.assign(static_cast<size_t>(3 * pages + 2), 0);
    for (int64_t i = 0; i < pages; ++i) {
      memory.emplace_back(static_cast<unsigned char*>(std::aligned_alloc(64, static_cast<size_t>(page_bytes))), &std::free);
      std::memset(memory.back().get(), 0xff, static_cast<size_t>(page_bytes));
      directory[static_cast<size_t>(3 * i + 1)] = reinterpret_cast<int64_t>(memory.back().get());
    }
    int64_t next = 0;
    for (int64_t page = 0; next < pages; ++page) {
      for (size_t sequence = 0; sequence < lengths.size(); ++sequence) {
        if (page < pages_of(lengths[sequence])) number(sequence, page) = static_cast<int32_t>(3 * (pages - ++next) + 1);
      }
    }
    layout.directory = directory.data();
    layout.directory_count = static_cast<int64_t>(directory.size());
    layout.table = table.data();
  }

  int32_t& number(size_t sequence, int64_t page) {
    return table[static_cast<size_t>(slot_of(sequence) * layout.slot_pages + page)];
  }
};

// A step: rows of many sequences, mixed, with padding.
struct Rows {
  std::vector<int32_t> positions;
  std::vector<int32_t> sequences;
  std::vector<int64_t> sources;  // which sequence of the test, or -1

  int64_t count() const { return static_cast<int64_t>(positions.size()); }
  void add(size_t sequence, int64_t position) {
    positions.push_back(static_cast<int32_t>(position));
    sequences.push_back(Cache::slot_of(sequence));
    sources.push_back(static_cast<int64_t>(sequence));
  }
  void pad() {
    positions.push_back(0);
    sequences.push_back(-1);
    sources.push_back(-1);
  }
};

inline StoreKeyValuesParams store_params(const Shape& s, Operand<float>& k, Operand<float>& v, const Rows& rows,
                                         const Cache& cache) {
  StoreKeyValuesParams p = {};
  p.k = k.data(), p.v = v.data();
  p.positions = rows.positions.data(), p.sequences = rows.sequences.data();
  p.rows = rows.count();
  p.kv_heads = s.kv_heads, p.dim = s.dim, p.v_dim = s.v_dim;
  p.k_row = k.row_stride, p.k_head = k.head_stride;
  p.v_row = v.row_stride, p.v_head = v.head_stride;
  p.tile_rows = 5;
  p.cache = cache.layout;
  return p;
}

inline int64_t store_tiles(const StoreKeyValuesParams& p) { return (p.rows + p.tile_rows - 1) / p.tile_rows; }

inline void copy_row(Operand<float>& to, int64_t to_row, Operand<float>& from, int64_t from_row) {
  for (int64_t head = 0; head < from.heads; ++head) {
    for (int64_t d = 0; d < from.columns; ++d) to.at(0, head, to_row, d) = from.at(0, head, from_row, d);
  }
}

// Stores all keys and values of the cases in one run: the rows of the sequences in turn, a padding row after each round.
inline void fill(Kernel kernel, std::vector<Case>& cases, Cache& cache) {
  Rows rows;
  int64_t longest = 0;
  for (const Case& c : cases) longest = std::max(longest, c.shape.kv_len);
  for (int64_t position = 0; position < longest; ++position) {
    for (size_t sequence = 0; sequence < cases.size(); ++sequence) {
      if (position < cases[sequence].shape.kv_len) rows.add(sequence, position);
    }
    rows.pad();
  }
  const Shape& s = cases[0].shape;
  Operand<float> k(1, s.kv_heads, rows.count(), s.dim, cases[0].gaps, NAN);
  Operand<float> v(1, s.kv_heads, rows.count(), s.v_dim, cases[0].gaps, NAN);
  for (int64_t row = 0; row < rows.count(); ++row) {
    const auto at = static_cast<size_t>(row);
    if (rows.sources[at] < 0) continue;
    Case& c = cases[static_cast<size_t>(rows.sources[at])];
    copy_row(k, row, c.k, rows.positions[at]);
    copy_row(v, row, c.v, rows.positions[at]);
  }
  const StoreKeyValuesParams p = store_params(s, k, v, rows, cache);
  REQUIRE(run(kernel, p, store_tiles(p)) == KernelStatus::ok);
}

// The work list: items of at most `most` rows, spread over the lists. Some lists are empty.
struct Work {
  std::vector<int32_t> starts;
  std::vector<AttentionItem> items;

  Work(const Rows& rows, int64_t most, int64_t lists) {
    for (int64_t row = 0; row < rows.count(); ++row) {
      const int32_t slot = rows.sequences[static_cast<size_t>(row)];
      if (slot < 0) continue;
      AttentionItem* last = items.empty() ? nullptr : &items.back();
      if (last != nullptr && last->slot == slot && last->first_query + last->queries == row && last->queries < most) {
        ++last->queries;
      } else {
        items.push_back({static_cast<int32_t>(row), 1, slot, 0});
      }
    }
    const auto count = static_cast<int64_t>(items.size());
    for (int64_t list = 0; list <= lists; ++list) starts.push_back(static_cast<int32_t>(count * list / lists));
    items.resize(static_cast<size_t>(rows.count()), {-1, -1, -1, -1});
  }
  int64_t lists() const { return static_cast<int64_t>(starts.size()) - 1; }
};

// A run of paged_attention over rows of several cases: the queries of case s at the positions of its sequence. The
// parameters may be changed before it.
struct PagedRun {
  Rows rows;
  Work work;
  Operand<float> q;
  Operand<float> out;
  PagedAttentionParams params = {};

  PagedRun(std::vector<Case>& cases, const Cache& cache, Rows rows_, int64_t most, int64_t lists)
      : rows(std::move(rows_)),
        work(rows, most, lists),
        q(1, cases[0].shape.heads, rows.count(), cases[0].shape.dim, cases[0].gaps, NAN),
        out(1, cases[0].shape.heads, rows.count(), cases[0].shape.v_dim, cases[0].gaps, NAN) {
    for (int64_t row = 0; row < rows.count(); ++row) {
      const auto at = static_cast<size_t>(row);
      if (rows.sources[at] < 0) continue;
      Case& c = cases[static_cast<size_t>(rows.sources[at])];
      copy_row(q, row, c.q, rows.positions[at] - (c.shape.kv_len - c.shape.q_len));
    }
    AttentionParams& a = params.attention;
    a = cases[0].params(out, 0, 0);
    a.q = q.data(), a.k = a.v = nullptr;
    a.q_len = rows.count(), a.kv_len = 0;
    a.q_head = q.head_stride, a.q_row = q.row_stride;
    a.positions = rows.positions.data();
    params.cache = cache.layout;
    params.sequences = rows.sequences.data();
    params.starts = work.starts.data();
    params.items = work.items.data();
    params.lists = work.lists();
  }

  KernelStatus run(Kernel kernel) {
    return paged_testing::run(kernel, params, params.attention.kv_heads * params.lists);
  }

  // The outputs of one sequence: [heads, q_len, v_dim].
  std::vector<float> of(size_t sequence) { return rows_from(static_cast<int64_t>(sequence)); }
  std::vector<float> of_padding() { return rows_from(-1); }

 private:
  std::vector<float> rows_from(int64_t source) {
    std::vector<float> dense;
    for (int64_t head = 0; head < out.heads; ++head) {
      for (int64_t row = 0; row < rows.count(); ++row) {
        if (rows.sources[static_cast<size_t>(row)] != source) continue;
        for (int64_t d = 0; d < out.columns; ++d) dense.push_back(out.at(0, head, row, d));
      }
    }
    return dense;
  }
};

// The queries of the cases, one case after the other.
inline Rows rows_of(const std::vector<Case>& cases) {
  Rows rows;
  for (size_t sequence = 0; sequence < cases.size(); ++sequence) {
    for (const int32_t position : cases[sequence].positions) rows.add(sequence, position);
  }
  return rows;
}

// The same with padding before, between and after the sequences.
inline Rows padded_rows_of(const std::vector<Case>& cases) {
  Rows rows;
  for (size_t sequence = 0; sequence < cases.size(); ++sequence) {
    for (size_t i = 0; i <= sequence % 3; ++i) rows.pad();
    for (const int32_t position : cases[sequence].positions) rows.add(sequence, position);
  }
  rows.pad();
  return rows;
}

inline std::vector<float> attend_whole(Kernel kernel, Case& c) {
  const Shape& s = c.shape;
  Operand<float> out(1, s.heads, s.q_len, s.v_dim, c.gaps, NAN);
  const AttentionParams p = c.params(out, s.heads / s.kv_heads, s.q_len);
  REQUIRE(run(kernel, p, c.tile_count(s.heads / s.kv_heads, s.q_len)) == KernelStatus::ok);
  return dense(s, out);
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline Case causal_case(const Shape& s, bool gaps, unsigned seed) {
  Case c(s, gaps, seed);
  c.causal = true;
  for (int64_t i = 0; i < s.q_len; ++i) c.positions.push_back(static_cast<int32_t>(s.kv_len - s.q_len + i));
  return c;
}

inline float quantized_value(float x, float scale) {
  if (!std::isfinite(scale)) return std::numeric_limits<float>::quiet_NaN();
  const double integer = scale == 0 ? 0 : std::nearbyint(static_cast<double>(x * (1 / scale)));
  return static_cast<float>(std::min(127.0, std::max(-127.0, integer)) * scale);
}

// Rounds a row to the values that a cache of this type returns for it.
inline void round_row(KeyValueType type, float* row, int64_t columns) {
  if (type == KeyValueType::f32) return;
  for (int64_t first = 0; first < columns; first += kQuantizedBlock) {
    float most = 0;
    for (int64_t i = 0; i < kQuantizedBlock && type == KeyValueType::q8_0; ++i) {
      most = std::max(most, std::fabs(row[first + i]));
    }
    const float scale = half_to_float(float_to_half(most / 127));
    for (int64_t i = first; i < std::min(first + kQuantizedBlock, columns); ++i) {
      row[i] = type == KeyValueType::f16 ? half_to_float(float_to_half(row[i])) : quantized_value(row[i], scale);
    }
  }
}

inline Case rounded(const Case& c, KeyValueType type) {
  Case copy = c;
  for (int64_t h = 0; h < c.shape.kv_heads; ++h) {
    for (int64_t j = 0; j < c.shape.kv_len; ++j) {
      round_row(type, &copy.k.at(0, h, j, 0), c.shape.dim);
      round_row(type, &copy.v.at(0, h, j, 0), c.shape.v_dim);
    }
  }
  return copy;
}

inline std::vector<int64_t> lengths_of(const std::vector<Case>& cases) {
  std::vector<int64_t> lengths;
  for (const Case& c : cases) lengths.push_back(c.shape.kv_len);
  return lengths;
}

}  // namespace tesserae::paged_testing
