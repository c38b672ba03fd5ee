// An attention problem for tests and the bench: operands in strided storage, parameters, and the float64 oracle.
// Included by attention_test.cpp, paged_case.h and bench/attention_bench.cpp.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <vector>

#include "core/op.h"
#include "kernels/attention.h"

namespace tesserae::attention_testing {

inline uint16_t half_from_float(float value) {  // normal numbers and 0 only, rounded towards zero
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) < 0x38800000) return 0;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | ((bits >> 13 & 0x3ffff) - (112 << 10)));
}

inline float float_from_half(uint16_t half) {
  if ((half & 0x7fff) == 0) return 0;
  const uint32_t magnitude = (static_cast<uint32_t>(half & 0x7fff) + (112 << 10)) << 13;
  const uint32_t bits = static_cast<uint32_t>(half & 0x8000) << 16 | magnitude;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct Shape {
  int64_t batch = 1, heads = 1, kv_heads = 1, q_len = 1, kv_len = 1, dim = 64, v_dim = 64;
};

// The offset of operands from the start of a cache line, in elements.
inline size_t operand_shift = 1;

template <typename T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <typename Other>
  LineAllocator(const LineAllocator<Other>&) {}
  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{kCacheLineBytes}));
  }
  void deallocate(T* memory, size_t) { ::operator delete(memory, std::align_val_t{kCacheLineBytes}); }
  bool operator==(const LineAllocator&) const { return true; }
  bool operator!=(const LineAllocator&) const { return false; }
};

// [batch, heads, rows, columns] in storage that is misaligned by operand_shift elements. With `gaps` a row of a token
// has all its heads, with three elements between them (the layout of a fused projection).
template <typename T>
struct Operand {
  int64_t heads, rows, columns;
  int64_t batch_stride, head_stride, row_stride;
  size_t shift = operand_shift;
  std::vector<T, LineAllocator<T>> storage;

  Operand(int64_t batch, int64_t heads_, int64_t rows_, int64_t columns_, bool gaps, T fill)
      : heads(heads_), rows(rows_), columns(columns_) {
    head_stride = gaps ? columns + 3 : rows * columns;
    row_stride = gaps ? heads * head_stride : columns;
    batch_stride = (gaps ? rows * row_stride : heads * head_stride) + 5;
    storage.assign(static_cast<size_t>(batch * batch_stride) + shift, fill);
  }
  T* data() { return storage.data() + shift; }
  T& at(int64_t b, int64_t h, int64_t row, int64_t column) {
    return data()[b * batch_stride + h * head_stride + row * row_stride + column];
  }
};

struct Case {
  Shape shape;
  bool gaps = false;
  bool half = false;
  bool causal = false;
  double scale = 0.125;
  Operand<float> q, k, v;
  Operand<uint16_t> half_k, half_v;
  std::vector<float> mask;  // strides mask_batch, mask_head, mask_row
  int64_t mask_batch = 0, mask_head = 0, mask_row = 0;
  std::vector<int32_t> positions;   // [batch, q_len]
  std::vector<int32_t> kv_lengths;  // [batch]
  std::vector<float> slopes;        // [heads]
  double softcap = 0;
  int64_t window = 0;

  explicit Case(const Shape& s, bool gaps_ = false, unsigned seed = 1)
      : shape(s),
        gaps(gaps_),
        q(s.batch, s.heads, s.q_len, s.dim, gaps_, 0),
        k(s.batch, s.kv_heads, s.kv_len, s.dim, gaps_, 0),
        v(s.batch, s.kv_heads, s.kv_len, s.v_dim, gaps_, 0),
        half_k(s.batch, s.kv_heads, s.kv_len, s.dim, gaps_, 0),
        half_v(s.batch, s.kv_heads, s.kv_len, s.v_dim, gaps_, 0) {
    scale = 1 / std::sqrt(static_cast<double>(s.dim));
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal(0, 1);
    for (auto* operand : {&q, &k, &v}) {
      for (float& x : operand->storage) x = normal(generator);
    }
  }

  // Rounds k and v to f16, and makes the kernel read f16.
  void use_half() {
    half = true;
    round_to_half(k, half_k);
    round_to_half(v, half_v);
  }

  static void round_to_half(Operand<float>& full, Operand<uint16_t>& rounded) {
    for (size_t i = 0; i < full.storage.size(); ++i) {
      rounded.storage[i] = half_from_float(full.storage[i]);
      full.storage[i] = float_from_half(rounded.storage[i]);
    }
  }

  AttentionParams params(Operand<float>& out, int64_t tile_heads, int64_t tile_queries) {
    AttentionParams p = {};
    p.q = q.data();
    p.k = half ? static_cast<const void*>(half_k.data()) : k.data();
    p.v = half ? static_cast<const void*>(half_v.data()) : v.data();
    p.out = out.data();
    p.mask = mask.empty() ? nullptr : mask.data();
    p.positions = positions.empty() ? nullptr : positions.data();
    p.kv_lengths = kv_lengths.empty() ? nullptr : kv_lengths.data();
    p.scale = scale;
    p.kv_dtype = half ? DType::f16 : DType::f32;
    p.causal = causal;
    p.batch = shape.batch, p.heads = shape.heads, p.kv_heads = shape.kv_heads;
    p.q_len = shape.q_len, p.kv_len = shape.kv_len, p.dim = shape.dim, p.v_dim = shape.v_dim;
    p.tile_heads = tile_heads, p.tile_queries = tile_queries;
    p.q_batch = q.batch_stride, p.q_head = q.head_stride, p.q_row = q.row_stride;
    p.k_batch = k.batch_stride, p.k_head = k.head_stride, p.k_row = k.row_stride;
    p.v_batch = v.batch_stride, p.v_head = v.head_stride, p.v_row = v.row_stride;
    p.out_batch = out.batch_stride, p.out_head = out.head_stride, p.out_row = out.row_stride;
    p.mask_batch = mask_batch, p.mask_head = mask_head, p.mask_row = mask_row;
    p.positions_batch = shape.q_len;
    p.slopes = slopes.empty() ? nullptr : slopes.data();
    p.softcap = softcap, p.window = window;
    return p;
  }

  int64_t tile_count(int64_t tile_heads, int64_t tile_queries) const {
    const int64_t group = shape.heads / shape.kv_heads;
    return shape.batch * shape.kv_heads * ((group + tile_heads - 1) / tile_heads) *
           ((shape.q_len + tile_queries - 1) / tile_queries);
  }

  float mask_at(int64_t b, int64_t h, int64_t i, int64_t j) const {
    if (mask.empty()) return 0;
    return mask[static_cast<size_t>(b * mask_batch + h * mask_head + i * mask_row + j)];
  }

  // The result by the definition, in float64: dense [batch, heads, q_len, v_dim].
  std::vector<double> oracle() {
    Operand<float> unused(1, 1, 1, 1, false, 0);
    const AttentionParams p = params(unused, 1, 1);
    std::vector<double> out;
    const int64_t group = shape.heads / shape.kv_heads;
    for (int64_t b = 0; b < shape.batch; ++b) {
      for (int64_t h = 0; h < shape.heads; ++h) {
        for (int64_t i = 0; i < shape.q_len; ++i) {
          std::vector<double> scores;
          std::vector<int64_t> seen;
          const int64_t position = attention_position(p, b, i);
          for (int64_t j = 0; j < shape.kv_len; ++j) {
            if (causal && j > position) continue;
            if (!kv_lengths.empty() && j >= kv_lengths[static_cast<size_t>(b)]) continue;
            if (window > 0 && std::abs(position - j) >= window) continue;
            seen.push_back(j);
          }
          double maximum = -std::numeric_limits<double>::infinity();
          for (int64_t j : seen) {
            double score = 0;
            for (int64_t d = 0; d < shape.dim; ++d) {
              score += static_cast<double>(q.at(b, h, i, d)) * k.at(b, h / group, j, d);
            }
            score *= scale;
            if (softcap > 0) score = softcap * std::tanh(score / softcap);
            if (!slopes.empty()) {
              score -= slopes[static_cast<size_t>(h)] * std::fabs(static_cast<double>(position - j));
            }
            scores.push_back(score + mask_at(b, h, i, j));
            maximum = std::max(maximum, scores.back());
          }
          double sum = 0;
          if (std::isinf(maximum)) scores.clear();
          for (double& score : scores) sum += score = std::exp(score - maximum);
          for (int64_t d = 0; d < shape.v_dim; ++d) {
            double total = 0;
            for (size_t j = 0; j < scores.size(); ++j) total += scores[j] * v.at(b, h / group, seen[j], d);
            out.push_back(sum == 0 ? 0 : total / sum);
          }
        }
      }
    }
    return out;
  }
};

inline std::vector<float> dense(const Shape& s, Operand<float>& operand) {
  std::vector<float> out;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < operand.heads; ++h) {
      for (int64_t i = 0; i < operand.rows; ++i) {
        for (int64_t d = 0; d < operand.columns; ++d) out.push_back(operand.at(b, h, i, d));
      }
    }
  }
  return out;
}

}  // namespace tesserae::attention_testing
