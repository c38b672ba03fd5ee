// Random attention ops, cache pages, and choices of tokens (random_op.h). Included by random_op_test.cpp.
#pragma once

#include "random_op_rows.h"

namespace tesserae::testing {

// [batch, heads, rows, columns]: heads apart, or the heads of a row side by side, with gaps.
struct HeadPlaces {
  int64_t batch, head, row, elements;
};
inline HeadPlaces head_places(RandomOp& op, int64_t batches, int64_t heads, int64_t rows, int64_t columns) {
  const int64_t gap = op.flip() ? op.integer(1, 3) : 0;
  HeadPlaces places = {};
  if (op.flip()) {
    places.row = columns + gap, places.head = rows * places.row + gap, places.batch = heads * places.head;
  } else {
    places.head = columns + gap, places.row = heads * places.head + gap, places.batch = rows * places.row;
  }
  places.elements = (batches - 1) * places.batch + (heads - 1) * places.head + (rows - 1) * places.row + columns;
  return places;
}

// A head's size: any, or whole blocks of 32 as cache pages of q8_0 and quantized outputs need.
inline int64_t head_size(RandomOp& op, bool is_blocks) { return is_blocks ? op.integer(1, 4) * 32 : op.size(130); }

// The parameters that all attention ops share. batch, heads, kv_heads, q_len, dim and v_dim are set.
inline void add_queries_and_outputs(RandomOp& op, AttentionParams& a) {
  const HeadPlaces q = head_places(op, a.batch, a.heads, a.q_len, a.dim);
  a.q = op.in_place(op.floats(q.elements), q.elements), a.q_batch = q.batch, a.q_head = q.head, a.q_row = q.row;
  const HeadPlaces out = head_places(op, a.batch, a.heads, a.q_len, a.v_dim);
  a.out = op.output<float>(out.elements, Mark::never);
  a.out_batch = out.batch, a.out_head = out.head, a.out_row = out.row;
  for (int64_t i = 0; i < a.batch * a.heads * a.q_len; ++i) {
    const int64_t row = i % a.q_len, head = i / a.q_len % a.heads, batch = i / a.q_len / a.heads;
    op.mark(a.out + batch * out.batch + head * out.head + row * out.row, a.v_dim, Mark::once);
  }
  a.scale = 0.2;
  if (op.integer(0, 3) == 0) a.slopes = op.floats(a.heads);
  if (op.integer(0, 3) == 0) a.softcap = 10;
}

inline void add_keys_and_values(RandomOp& op, AttentionParams& a) {
  const HeadPlaces k = head_places(op, a.batch, a.kv_heads, a.kv_len, a.dim);
  const HeadPlaces v = head_places(op, a.batch, a.kv_heads, a.kv_len, a.v_dim);
  a.k = elements(op, a.kv_dtype, k.elements), a.k_batch = k.batch, a.k_head = k.head, a.k_row = k.row;
  a.v = elements(op, a.kv_dtype, v.elements), a.v_batch = v.batch, a.v_head = v.head, a.v_row = v.row;
}

inline AttentionParams attention_sizes(RandomOp& op, int64_t most_queries, bool is_blocks) {
  AttentionParams a = {};
  a.batch = 1, a.kv_heads = op.integer(1, 2), a.heads = a.kv_heads * op.integer(1, 3);
  a.q_len = op.size(most_queries), a.dim = head_size(op, is_blocks), a.v_dim = head_size(op, is_blocks);
  return a;
}

inline void make_attention(RandomOp& op) {
  AttentionParams a = attention_sizes(op, 50, false);
  a.batch = op.integer(1, 2), a.kv_len = op.integer(0, 3) == 0 ? op.integer(250, 530) : op.size(120);
  a.kv_dtype = op.flip() ? DType::f16 : DType::f32;
  add_queries_and_outputs(op, a);
  add_keys_and_values(op, a);
  a.causal = op.integer(0, 1);
  if (a.causal && op.flip()) {
    a.positions_batch = a.q_len;
    a.positions = op.input<int32_t>(a.batch * a.q_len, [&] { return static_cast<int32_t>(op.integer(-1, a.kv_len - 1)); });
  }
  if (op.flip()) a.kv_lengths = op.input<int32_t>(a.batch, [&] { return static_cast<int32_t>(op.integer(0, a.kv_len)); });
  if (op.flip()) {
    const HeadPlaces mask = head_places(op, a.batch, a.heads, a.q_len, a.kv_len);
    a.mask = op.floats(mask.elements), a.mask_batch = mask.batch, a.mask_head = mask.head, a.mask_row = mask.row;
  }
  if (op.integer(0, 3) == 0) a.window = op.integer(1, a.kv_len);
  const int64_t group = a.heads / a.kv_heads;
  a.tile_heads = op.integer(1, group), a.tile_queries = op.integer(1, a.q_len);
  const int64_t slices = (group + a.tile_heads - 1) / a.tile_heads, blocks = (a.q_len + a.tile_queries - 1) / a.tile_queries;
  op.set("attention", a, a.batch * a.kv_heads * slices * blocks);
}

inline ActivationBlock* write_head_blocks(RandomOp& op, const AttentionParams& a, bool is_blocks) {
  return is_blocks && op.flip() ? write_blocks(op, a.q_len * a.heads, a.v_dim) : nullptr;
}

// `count` items cut into `lists` lists.
inline const int32_t* list_starts(RandomOp& op, int64_t lists, int64_t count) {
  std::vector<int32_t> starts;
  for (int64_t list = 0; list <= lists; ++list) starts.push_back(static_cast<int32_t>(list * count / lists));
  return op.input(starts);
}

inline void make_sequence_attention(RandomOp& op) {
  const bool is_blocks = op.flip();
  SequenceAttentionParams p = {};
  AttentionParams& a = p.attention;
  a = attention_sizes(op, 120, is_blocks);
  a.kv_len = a.q_len, a.tile_heads = a.tile_queries = 1;
  add_queries_and_outputs(op, a);
  add_keys_and_values(op, a);
  if (op.integer(0, 3) == 0) a.window = op.integer(1, a.q_len);
  std::vector<SequenceItem> items;
  for (int64_t first = 0; first < a.q_len;) {
    const int64_t rows = op.integer(1, a.q_len - first), most = op.size(60);
    const bool is_padding = first + rows == a.q_len && first > 0 && op.flip();
    for (int64_t row = 0; row < rows; row += most) {
      items.push_back({static_cast<int32_t>(first + row), static_cast<int32_t>(std::min(most, rows - row)),
                       static_cast<int32_t>(first), static_cast<int32_t>(is_padding ? 0 : rows)});
    }
    first += rows;
  }
  const auto count = static_cast<int64_t>(items.size());
  p.lists = op.integer(1, 4), p.starts = list_starts(op, p.lists, count);
  items.resize(static_cast<size_t>(a.q_len), {-1, -1, -1, -1});
  p.items = op.input(items);
  p.blocks = write_head_blocks(op, a, is_blocks);
  op.set("sequence_attention", p, a.kv_heads * p.lists);
}

// A cache of several slots, each page in memory of its own: full of finite numbers, or an output.
struct RandomPages {
  KeyValuePages layout = {};
  int64_t page_bytes = 0;
};

inline RandomPages random_pages(RandomOp& op, int64_t kv_heads, int64_t dim, int64_t v_dim, KeyValueType type, bool is_output,
                                int64_t most_pages = 4) {
  RandomPages pages;
  KeyValuePages& layout = pages.layout;
  layout.type = type, layout.page_positions = int64_t{16} << op.integer(0, 2);
  layout.slots = op.integer(1, 3), layout.slot_pages = op.integer(1, most_pages);
  const auto round = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
  layout.values_offset = round(kv_heads * key_value_head_bytes(layout, dim));
  pages.page_bytes = layout.values_offset + kv_heads * key_value_head_bytes(layout, v_dim);
  std::vector<int64_t> directory;
  std::vector<int32_t> table;
  for (int64_t i = 0; i < layout.slots * layout.slot_pages; ++i) {
    unsigned char* page =
        is_output ? op.output<unsigned char>(pages.page_bytes, Mark::at_most_once, kCacheLineBytes)
                  : op.input<unsigned char>(pages.page_bytes, [] { return 0x2b; }, kCacheLineBytes);
    directory.push_back(reinterpret_cast<int64_t>(page));
    table.push_back(static_cast<int32_t>(layout.slots * layout.slot_pages - 1 - i));
  }
  layout.directory = op.input(directory), layout.directory_count = static_cast<int64_t>(directory.size());
  layout.table = op.input(table);
  return pages;
}

inline KeyValueType key_value_type(RandomOp& op, bool is_blocks) {
  return static_cast<KeyValueType>(op.integer(0, is_blocks ? 2 : 1));
}

inline void make_store_key_values(RandomOp& op) {
  const bool is_blocks = op.flip();
  StoreKeyValuesParams p = {};
  p.kv_heads = op.integer(1, 3), p.dim = head_size(op, is_blocks), p.v_dim = head_size(op, is_blocks);
  const RandomPages pages = random_pages(op, p.kv_heads, p.dim, p.v_dim, key_value_type(op, is_blocks), true);
  p.cache = pages.layout, p.rows = op.integer(1, 20), p.tile_rows = op.integer(1, 6);
  const HeadPlaces k = head_places(op, 1, p.kv_heads, p.rows, p.dim), v = head_places(op, 1, p.kv_heads, p.rows, p.v_dim);
  p.k = op.floats(k.elements), p.k_head = k.head, p.k_row = k.row;
  p.v = op.floats(v.elements), p.v_head = v.head, p.v_row = v.row;
  // Places that differ, because the positions of a slot are used in order.
  std::vector<int32_t> next(static_cast<size_t>(p.cache.slots), 0), positions, sequences;
  int64_t stored = 0;
  for (int64_t row = 0; row < p.rows; ++row) {
    const int64_t slot = op.integer(-1, p.cache.slots - 1);
    const bool is_full = slot >= 0 && next[static_cast<size_t>(slot)] >= p.cache.slot_pages * p.cache.page_positions;
    sequences.push_back(static_cast<int32_t>(is_full ? -1 : slot));
    positions.push_back(slot < 0 || is_full ? 0 : next[static_cast<size_t>(slot)]++);
    stored += sequences.back() >= 0;
  }
  p.positions = op.input(positions), p.sequences = op.input(sequences);
  op.written_bytes = stored * p.kv_heads * (key_value_head_bytes(p.cache, p.dim) + key_value_head_bytes(p.cache, p.v_dim)) /
                     p.cache.page_positions;
  op.set("store_key_values", p, tiles_of(p.rows, p.tile_rows));
}

// For an op that stores its rows: their keys and values, and perhaps norms and a rotation.
inline void add_own_keys_and_values(RandomOp& op, PagedAttentionParams& p) {
  AttentionParams& a = p.attention;
  const HeadPlaces k = head_places(op, 1, a.kv_heads, a.q_len, a.dim), v = head_places(op, 1, a.kv_heads, a.q_len, a.v_dim);
  a.k = op.in_place(op.floats(k.elements), k.elements), a.k_head = k.head, a.k_row = k.row;
  a.v = op.floats(v.elements), a.v_head = v.head, a.v_row = v.row;
  if (op.flip()) p.norms = {op.floats(a.dim), op.floats(a.dim), 1e-6};
  const int64_t pairs = op.integer(0, a.dim / 2);
  if (pairs > 0) p.rotation = {op.floats(pairs), 1.1, op.integer(0, 1), 2 * pairs};
}

inline void make_paged_attention(RandomOp& op) {
  const bool is_blocks = op.flip();
  PagedAttentionParams p = {};
  AttentionParams& a = p.attention;
  a = attention_sizes(op, 60, is_blocks);
  a.causal = 1;
  add_queries_and_outputs(op, a);
  if (op.integer(0, 3) == 0) a.window = op.integer(1, 100);
  const bool stores = op.flip();
  if (stores) add_own_keys_and_values(op, p);
  p.cache = random_pages(op, a.kv_heads, a.dim, a.v_dim, key_value_type(op, is_blocks), false).layout;
  const int64_t most = p.cache.slot_pages * p.cache.page_positions;
  std::vector<int32_t> positions, sequences;
  std::vector<AttentionItem> items;
  for (int64_t row = 0; row < a.q_len;) {
    int64_t slot = op.integer(-1, p.cache.slots - 1);
    const int64_t rows = op.integer(1, std::min(a.q_len - row, most));
    const bool is_used = std::any_of(items.begin(), items.end(), [&](const AttentionItem& item) { return item.slot == slot; });
    if (stores && is_used) slot = -1;
    const int64_t first = op.integer(0, most - rows);
    if (slot >= 0) items.push_back({static_cast<int32_t>(row), static_cast<int32_t>(rows), static_cast<int32_t>(slot), 0});
    for (int64_t i = 0; i < rows; ++i) {
      positions.push_back(static_cast<int32_t>(slot < 0 ? 0 : first + i));
      sequences.push_back(static_cast<int32_t>(slot));
    }
    row += rows;
  }
  a.positions = op.input(positions), p.sequences = op.input(sequences);
  p.lists = op.integer(1, 4), p.starts = list_starts(op, p.lists, static_cast<int64_t>(items.size()));
  items.resize(static_cast<size_t>(a.q_len), {-1, -1, -1, -1});
  p.items = op.input(items);
  p.blocks = write_head_blocks(op, a, is_blocks);
  op.set("paged_attention", p, a.kv_heads * p.lists);
}

// The lines of parts that tiles write: sums, maximum and sum of weights; padding of the sums perhaps.
inline float* write_lines(RandomOp& op, int64_t lines, int64_t v_dim) {
  const int64_t line = part_line(v_dim), maximum = part_maximum(v_dim);
  float* data = op.output<float>(lines * line, Mark::never);
  for (int64_t i = 0; i < lines; ++i) {
    op.mark(data + i * line, maximum, Mark::at_most_once);
    op.mark(data + i * line, v_dim, Mark::once);
    op.mark(data + i * line + maximum, 2, Mark::once);
  }
  return data;
}

inline void make_paged_attention_parts(RandomOp& op) {
  const bool is_blocks = op.flip();
  PagedAttentionPartsParams p = {};
  AttentionParams& a = p.attention;
  a = attention_sizes(op, 5, is_blocks);
  a.causal = 1, a.scale = 0.2;
  const HeadPlaces q = head_places(op, 1, a.heads, a.q_len, a.dim);
  a.q = op.floats(q.elements), a.q_head = q.head, a.q_row = q.row;
  if (op.integer(0, 3) == 0) a.window = op.integer(1, 400);
  if (op.integer(0, 3) == 0) a.slopes = op.floats(a.heads);
  RandomPages pages = random_pages(op, a.kv_heads, a.dim, a.v_dim, key_value_type(op, is_blocks), false, 40);
  p.cache = pages.layout;
  a.kv_len = p.cache.slot_pages * p.cache.page_positions;
  if (op.flip()) {
    PagedAttentionParams own = {};
    own.attention = a;
    add_own_keys_and_values(op, own);
    a = own.attention, p.norms = own.norms, p.rotation = own.rotation;
  }
  std::vector<int32_t> positions, sequences, starts = {0};
  std::vector<AttentionRun> runs;
  p.lists = op.integer(1, 6);
  for (int64_t row = 0; row < a.q_len; ++row) {
    // No two rows are of the same sequence.
    const int64_t slot = row < p.cache.slots && op.integer(0, 3) > 0 ? row : -1;
    positions.push_back(static_cast<int32_t>(slot < 0 ? 0 : op.integer(0, a.kv_len - 1))), sequences.push_back(static_cast<int32_t>(slot));
    const int64_t first = std::max<int64_t>(a.window ? positions.back() - a.window + 1 : 0, 0) / kAttentionKeyBlock;
    const int64_t end = slot < 0 ? first : positions.back() / kAttentionKeyBlock + 1;
    const bool is_whole = static_cast<int64_t>(runs.size()) + (end - first) > row + p.lists;
    const int64_t most = is_whole ? std::max<int64_t>(end - first, 1) : op.integer(1, 2);
    for (int64_t block = first; block < end; block += most) {
      runs.push_back({static_cast<int32_t>(row), static_cast<int32_t>(slot), static_cast<int32_t>(block),
                      static_cast<int32_t>(std::min(most, end - block))});
    }
    starts.push_back(starts.back() + static_cast<int32_t>(end - first));
  }
  a.positions = op.input(positions), p.sequences = op.input(sequences);
  p.starts = list_starts(op, p.lists, static_cast<int64_t>(runs.size()));
  runs.resize(static_cast<size_t>(a.q_len + p.lists), {-1, -1, -1, -1});
  p.runs = op.input(runs);
  p.parts = {write_lines(op, starts.back() * a.heads, a.v_dim), op.input(starts), starts.back()};
  op.set("paged_attention_parts", p, a.kv_heads * p.lists);
}

inline void make_merge_attention_parts(RandomOp& op) {
  const bool is_blocks = op.flip();
  AttentionParams a = attention_sizes(op, 5, is_blocks);
  a.heads = op.integer(1, 20);
  const HeadPlaces out = head_places(op, 1, a.heads, a.q_len, a.v_dim);
  MergeAttentionPartsParams p = {};
  a.out = op.output<float>(out.elements, Mark::never);
  for (int64_t i = 0; i < a.heads * a.q_len; ++i) op.mark(a.out + i % a.q_len * out.row + i / a.q_len * out.head, a.v_dim, Mark::once);
  std::vector<int32_t> starts = {0};
  for (int64_t row = 0; row < a.q_len; ++row) starts.push_back(starts.back() + static_cast<int32_t>(op.integer(0, 4)));
  p.out = a.out, p.rows = a.q_len, p.heads = a.heads, p.v_dim = a.v_dim, p.out_row = out.row, p.out_head = out.head;
  p.tile_heads = op.integer(1, kMostMergedHeads), p.tile_groups = op.integer(1, 4);
  p.parts = {op.floats(starts.back() * a.heads * part_line(a.v_dim)), op.input(starts), starts.back()};
  p.blocks = write_head_blocks(op, a, is_blocks);
  op.set("merge_attention_parts", p, tiles_of(p.rows * ((p.heads + p.tile_heads - 1) / p.tile_heads), p.tile_groups));
}

inline void make_sample(RandomOp& op) {
  SampleParams p = {};
  const int64_t rows = op.integer(1, 3);
  p.vocabulary = op.flip() ? op.size(300) : op.integer(1000, 3000), p.row_stride = p.vocabulary + op.integer(0, 3);
  p.logits = op.floats((rows - 1) * p.row_stride + p.vocabulary, 8);
  p.most_alternatives = op.integer(0, 5);
  p.result_bytes = static_cast<int64_t>(sizeof(SampleResult) + static_cast<size_t>(p.most_alternatives) * sizeof(SampleAlternative));
  p.results = op.output<unsigned char>(rows * p.result_bytes, Mark::at_most_once, alignof(SampleResult));
  std::vector<SampleRow> all;
  for (int64_t r = 0; r < rows; ++r) {
    SampleRow row = {};
    row.is_used = op.integer(0, 3) > 0, row.random = (op.random.uniform() + 1) / 2;
    const auto option = [&](double used, double unused) { return op.flip() ? used : unused; };
    row.temperature = option(0.8, 0), row.typical_p = option(0.9, 1), row.top_p = option(0.9, 1), row.min_p = option(0.05, 0);
    row.top_k = static_cast<int32_t>(option(20, 0)), row.repetition = option(1.1, 1), row.presence = option(0.5, 0);
    row.alternatives = static_cast<int32_t>(op.integer(-1, std::min(p.most_alternatives, p.vocabulary)));
    std::vector<SampleBias> biases;
    std::vector<SampleRecent> recent;
    for (int64_t id = op.integer(0, 9); id < p.vocabulary && biases.size() < 9; id += op.integer(1, 40)) {
      biases.push_back({static_cast<double>(id), 1.5});
      recent.push_back({static_cast<int32_t>(id), 2});
    }
    // The last token, too.
    if (biases.empty() || biases.back().id != static_cast<double>(p.vocabulary - 1)) {
      biases.push_back({static_cast<double>(p.vocabulary - 1), -1});
      recent.push_back({static_cast<int32_t>(p.vocabulary - 1), 1});
    }
    row.biases = op.input(biases), row.bias_count = static_cast<int32_t>(biases.size());
    row.recent = op.input(recent), row.recent_count = static_cast<int32_t>(recent.size());
    if (op.flip()) row.allowed = op.input<uint32_t>((p.vocabulary + 31) / 32, [&] { return static_cast<uint32_t>(op.random.bits() | 1); });
    op.mark(p.results + r * p.result_bytes, sizeof(SampleStatus), Mark::once);
    all.push_back(row);
  }
  p.rows = op.input(all);
  op.set("sample", p, rows);
}

constexpr RandomOpMaker kRandomAttention[] = {
    {"attention", make_attention},
    {"sequence_attention", make_sequence_attention},
    {"store_key_values", make_store_key_values},
    {"paged_attention", make_paged_attention},
    {"paged_attention_parts", make_paged_attention_parts},
    {"merge_attention_parts", make_merge_attention_parts},
    {"sample", make_sample},
};

}  // namespace tesserae::testing
