// Tests of sequence_attention: for sequences of many lengths, every work list and every kernel set, the result has the bits
// of `attention` of each sequence alone, and the values of the definition in float64; what is not valid is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

#include "attention_case.h"
#include "kernel_sets.h"
#include "kernels/quantize_rows.h"
#include "kernels/sequence_attention.h"
#include "scratch.h"

using namespace tesserae;
using namespace tesserae::attention_testing;

namespace {

constexpr int64_t kBlock = kAttentionKeyBlock;

// Runs all tiles, the last one first.
template <typename Params>
KernelStatus run_tiles(Kernel kernel, const Params& params, int64_t tiles) {
  auto op = std::make_unique<OpRecord>();
  std::memcpy(op->params, &params, sizeof params);
  for (int64_t tile = tiles; tile-- > 0;) {
    Scratch scratch = test::fresh_scratch();
    const KernelStatus status = kernel(*op, tile, scratch);
    if (status != KernelStatus::ok) return status;
  }
  return KernelStatus::ok;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Sequences one after the other, and rows of padding after the last.
struct Sequences {
  Case all;
  std::vector<int64_t> lengths;
  int64_t padding;
  std::vector<SequenceItem> items;
  std::vector<int32_t> starts;
  Operand<float> out;

  static Shape shape_of(const std::vector<int64_t>& lengths, int64_t padding, Shape shape) {
    int64_t rows = padding;
    for (const int64_t length : lengths) rows += length;
    shape.q_len = shape.kv_len = rows;
    return shape;
  }

  Sequences(const std::vector<int64_t>& lengths_, int64_t padding_, const Shape& shape, bool gaps)
      : all(shape_of(lengths_, padding_, shape), gaps),
        lengths(lengths_),
        padding(padding_),
        out(1, shape.heads, all.shape.q_len, shape.v_dim, gaps, NAN) {}

  // Cuts the rows into items of `most` at most, in so many lists.
  void plan(int64_t most, int64_t lists) {
    items.clear();
    int64_t first = 0;
    const auto add = [&](int64_t rows, int64_t keys) {
      for (int64_t row = 0; row < rows; row += most) {
        items.push_back({static_cast<int32_t>(first + row), static_cast<int32_t>(std::min(most, rows - row)),
                         static_cast<int32_t>(first), static_cast<int32_t>(keys)});
      }
      first += rows;
    };
    for (const int64_t length : lengths) add(length, length);
    add(padding, 0);
    starts.clear();
    for (int64_t list = 0; list <= lists; ++list) {
      starts.push_back(static_cast<int32_t>(list * static_cast<int64_t>(items.size()) / lists));
    }
  }

  SequenceAttentionParams params() {
    SequenceAttentionParams p = {};
    p.attention = all.params(out, 1, 1);
    p.starts = starts.data();
    p.items = items.data();
    p.lists = static_cast<int64_t>(starts.size()) - 1;
    return p;
  }

  KernelStatus run(Kernel kernel) {
    std::fill(out.storage.begin(), out.storage.end(), NAN);
    const SequenceAttentionParams p = params();
    return run_tiles(kernel, p, p.lists * all.shape.kv_heads);
  }

  // One sequence as a problem of its own.
  Case alone(size_t sequence) {
    int64_t first = 0;
    for (size_t i = 0; i < sequence; ++i) first += lengths[i];
    Shape shape = all.shape;
    shape.q_len = shape.kv_len = lengths[sequence];
    Case own(shape, all.gaps);
    const auto copy = [&](Operand<float>& to, Operand<float>& from) {
      for (int64_t head = 0; head < from.heads; ++head) {
        for (int64_t row = 0; row < to.rows; ++row) {
          for (int64_t d = 0; d < from.columns; ++d) to.at(0, head, row, d) = from.at(0, head, first + row, d);
        }
      }
    };
    copy(own.q, all.q), copy(own.k, all.k), copy(own.v, all.v);
    own.slopes = all.slopes, own.softcap = all.softcap, own.window = all.window;
    return own;
  }

  std::vector<float> rows_of(int64_t first, int64_t rows) {
    std::vector<float> result;
    for (int64_t head = 0; head < out.heads; ++head) {
      for (int64_t row = first; row < first + rows; ++row) {
        for (int64_t d = 0; d < out.columns; ++d) result.push_back(out.at(0, head, row, d));
      }
    }
    return result;
  }
};

std::vector<float> attend_alone(Kernel kernel, Case& c) {
  Operand<float> out(1, c.shape.heads, c.shape.q_len, c.shape.v_dim, false, NAN);
  const AttentionParams p = c.params(out, 1, c.shape.q_len);
  REQUIRE(run_tiles(kernel, p, c.tile_count(1, c.shape.q_len)) == KernelStatus::ok);
  return dense(c.shape, out);
}

}  // namespace

TEST_CASE("sequence_attention has the bits of attention of each sequence alone") {
  const std::vector<int64_t> lengths = {1, 5, 17, 4, kBlock + 7, 2, 33, 60};
  for (const int64_t group : {1, 3}) {
    for (int variant : {0, 1, 2, 3}) {
      CAPTURE(group);
      CAPTURE(variant);
      const Shape shape = {1, 2 * group, 2, 1, 1, variant == 0 ? 64 : 19 + variant, variant == 0 ? 64 : 40 - 7 * variant};
      Sequences sequences(lengths, 6, shape, variant % 2 == 0);
      if (variant == 1) sequences.all.window = 21;
      if (variant == 2) sequences.all.softcap = 2.5;
      if (variant == 3) {
        for (int64_t head = 0; head < 2 * group; ++head) sequences.all.slopes.push_back(0.5f / static_cast<float>(head + 1));
      }
      for (const Isa isa : instruction_sets()) {
        std::vector<std::vector<float>> expected;
        for (size_t sequence = 0; sequence < lengths.size(); ++sequence) {
          Case own = sequences.alone(sequence);
          expected.push_back(attend_alone(kernel_named("attention", isa), own));
          const std::vector<double> oracle = own.oracle();
          double squares = 0, norm = 0;
          for (size_t i = 0; i < oracle.size(); ++i) {
            squares += (expected.back()[i] - oracle[i]) * (expected.back()[i] - oracle[i]);
            norm += oracle[i] * oracle[i];
          }
          CHECK(squares <= 1e-11 * norm);
        }
        for (const auto& [most, lists] : std::vector<std::pair<int64_t, int64_t>>{{256, 1}, {7, 5}, {1000, 3}}) {
          sequences.plan(most, lists);
          REQUIRE(sequences.run(kernel_named("sequence_attention", isa)) == KernelStatus::ok);
          int64_t first = 0;
          for (size_t sequence = 0; sequence < lengths.size(); ++sequence) {
            CAPTURE(sequence);
            CHECK(same_bits(sequences.rows_of(first, lengths[sequence]), expected[sequence]));
            first += lengths[sequence];
          }
          const std::vector<float> padding = sequences.rows_of(first, sequences.padding);
          CHECK(std::all_of(padding.begin(), padding.end(), [](float x) { return x == 0; }));
        }
      }
    }
  }
}

TEST_CASE("sequence_attention: padding alone, with any content, is 0") {
  Sequences sequences({}, 9, {1, 2, 1, 1, 1, 16, 16}, false);
  for (auto* operand : {&sequences.all.q, &sequences.all.k, &sequences.all.v}) {
    std::fill(operand->storage.begin(), operand->storage.end(), NAN);
  }
  for (const Isa isa : instruction_sets()) {
    for (const auto& [most, lists] : std::vector<std::pair<int64_t, int64_t>>{{4, 2}, {9, 1}}) {
      sequences.plan(most, lists);
      REQUIRE(sequences.run(kernel_named("sequence_attention", isa)) == KernelStatus::ok);
      for (const float x : sequences.rows_of(0, 9)) CHECK(x == 0);
    }
  }
}

TEST_CASE("sequence_attention: the blocks of its result equal what quantize_rows computes from it") {
  for (const Isa isa : instruction_sets()) {
    Sequences sequences({3, 40, 1}, 2, {1, 6, 2, 1, 1, 32, 64}, true);
    sequences.plan(16, 3);
    const Shape& s = sequences.all.shape;
    ActivationBlock garbage;
    std::memset(&garbage, 0xee, sizeof garbage);
    std::vector<ActivationBlock> blocks(static_cast<size_t>(s.q_len * s.heads * s.v_dim / kActivationBlock), garbage);
    std::vector<ActivationBlock> expected(blocks.size());
    SequenceAttentionParams p = sequences.params();
    p.blocks = blocks.data();
    REQUIRE(run_tiles(kernel_named("sequence_attention", isa), p, p.lists * s.kv_heads) == KernelStatus::ok);
    QuantizeRowsParams quantize = {};
    quantize.x = sequences.out.data(), quantize.y = expected.data();
    quantize.columns = s.v_dim, quantize.tile_rows = 100;
    quantize.outer = {{1, 1, s.q_len, s.heads}};
    quantize.x_outer = {{0, 0, sequences.out.row_stride, sequences.out.head_stride}};
    REQUIRE(run_tiles(kernel_named("quantize_rows", isa), quantize, (s.q_len * s.heads + 99) / 100) == KernelStatus::ok);
    CHECK(std::memcmp(blocks.data(), expected.data(), blocks.size() * sizeof(ActivationBlock)) == 0);
  }
}

TEST_CASE("sequence_attention refuses a work list that is not valid") {
  const std::vector<SequenceItem> wrong_items = {
      {-1, 1, 0, 5},         {5, 0, 5, 4},  {5, -1, 5, 4}, {5, 5, 5, 4},         {4, 1, 5, 4},         {9, 1, 5, 4},
      {0, 1, -1, 5},         {0, 1, 0, -1}, {5, 1, 5, 7},  {10, 2, 10, 2},       {0, INT32_MAX, 0, 5}, {INT32_MAX, 1, 0, 5},
      {INT32_MIN, 1, 0, 5},  {0, 1, 0, INT32_MAX},         {0, 1, INT32_MIN, 5}, {0, 1, INT32_MAX, 5}, {0, 12, 0, 0},
  };
  for (const Isa isa : instruction_sets()) {
    Sequences sequences({5, 4}, 2, {1, 2, 2, 1, 1, 32, 32}, false);
    const auto status_of = [&](auto change) {
      sequences.plan(3, 2);
      change();
      return sequences.run(kernel_named("sequence_attention", isa));
    };
    CHECK(status_of([] {}) == KernelStatus::ok);
    for (const SequenceItem& item : wrong_items) {
      CAPTURE(item.first_query);
      CAPTURE(item.queries);
      CAPTURE(item.first_key);
      CAPTURE(item.keys);
      CHECK(status_of([&] { sequences.items[1] = item; }) == KernelStatus::index_out_of_range);
    }
    for (const std::vector<int32_t>& wrong :
         std::vector<std::vector<int32_t>>{{-1, 1, 3}, {0, 2, 1}, {0, 1, 12}, {0, 4, 3}, {0, INT32_MAX, 3}, {INT32_MIN, 1, 3}}) {
      CHECK(status_of([&] { std::copy(wrong.begin(), wrong.end(), sequences.starts.begin()); }) ==
            KernelStatus::index_out_of_range);
    }
  }
}
