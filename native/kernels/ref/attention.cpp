// Scalar reference of attention: the same key blocks, merged by the same formula, one row at a time.
#include "kernels/attention.h"

#include <cfloat>
#include <cmath>
#include <cstring>

namespace tesserae {
namespace {

constexpr float kLog2e = 1.44269504088896340736f;

float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31;
  const uint32_t fraction = half & 1023;
  if (exponent == 0) return std::copysign(std::ldexp(static_cast<float>(fraction), -24), sign ? -1.0f : 1.0f);
  const uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Rows of k or v of one kv head, of either element type.
struct Rows {
  const void* data;
  DType dtype;
  int64_t offset;
  int64_t stride;
  float at(int64_t row, int64_t column) const {
    const int64_t i = offset + row * stride + column;
    return dtype == DType::f16 ? half_to_float(static_cast<const uint16_t*>(data)[i])
                               : static_cast<const float*>(data)[i];
  }
};

float masked_score(float score, float mask) {
  if (mask == -INFINITY) return -INFINITY;
  const float sum = std::fma(mask, kLog2e, score);
  return sum < -FLT_MAX ? -FLT_MAX : sum;  // only the mask's own -inf excludes a key
}

void attend_row(const AttentionParams& p, const float* q, const Rows& k, const Rows& v, const float* mask,
                int64_t limit, float* scratch, float* out) {
  const float factor = static_cast<float>(p.scale * 1.44269504088896340736);
  float* scores = scratch;
  float* block_out = scores + kAttentionKeyBlock;
  float* total_out = block_out + p.v_dim;
  std::fill(total_out, total_out + p.v_dim, 0.0f);
  float total_max = -INFINITY;
  float total_sum = 0;
  for (int64_t begin = 0; begin < limit; begin += kAttentionKeyBlock) {
    const int64_t keys = std::min(kAttentionKeyBlock, limit - begin);
    float block_max = -INFINITY;
    for (int64_t j = 0; j < keys; ++j) {
      float score = 0;
      for (int64_t d = 0; d < p.dim; ++d) score = std::fma(q[d] * factor, k.at(begin + j, d), score);
      if (mask) score = masked_score(score, mask[begin + j]);
      scores[j] = score;
      if (score > block_max) block_max = score;
    }
    const float base = block_max == -INFINITY ? 0.0f : block_max;
    float block_sum = 0;
    for (int64_t j = 0; j < keys; ++j) block_sum += scores[j] = std::exp2(scores[j] - base);
    for (int64_t d = 0; d < p.v_dim; ++d) {
      float sum = 0;
      for (int64_t j = 0; j < keys; ++j) sum = std::fma(scores[j], v.at(begin + j, d), sum);
      block_out[d] = sum;
    }
    const float next_max = std::max(total_max, block_max);
    const float next_base = next_max == -INFINITY ? 0.0f : next_max;
    const float keep = std::exp2(total_max - next_base);
    const float take = std::exp2(block_max - next_base);
    for (int64_t d = 0; d < p.v_dim; ++d) total_out[d] = std::fma(block_out[d], take, total_out[d] * keep);
    total_sum = std::fma(block_sum, take, total_sum * keep);
    total_max = next_max;
  }
  for (int64_t d = 0; d < p.v_dim; ++d) out[d] = total_sum == 0 ? 0.0f : total_out[d] / total_sum;
}

}  // namespace

KernelStatus attention_ref(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<AttentionParams>();
  const AttentionTile t = attention_tile(p, tile);
  const Rows k = {p.k, p.kv_dtype, t.batch * p.k_batch + t.kv_head * p.k_head, p.k_row};
  const Rows v = {p.v, p.kv_dtype, t.batch * p.v_batch + t.kv_head * p.v_head, p.v_row};
  for (int64_t head = t.first_head; head < t.first_head + t.heads; ++head) {
    for (int64_t query = t.first_query; query < t.first_query + t.queries; ++query) {
      const float* q = p.q + t.batch * p.q_batch + head * p.q_head + query * p.q_row;
      float* out = p.out + t.batch * p.out_batch + head * p.out_head + query * p.out_row;
      const float* mask =
          p.mask ? p.mask + t.batch * p.mask_batch + head * p.mask_head + query * p.mask_row : nullptr;
      attend_row(p, q, k, v, mask, attention_limit(p, t.batch, query), reinterpret_cast<float*>(scratch.data), out);
    }
  }
  return KernelStatus::ok;
}

}  // namespace tesserae
