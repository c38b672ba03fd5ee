// merge_attention_parts for the vector sets: the merging of attention_softmax.h and attention_few.h, with the factors of up to
// eight heads in one vector.
#include "kernels/merge_attention_parts.h"

#include <algorithm>
#include <cmath>

#include "kernels/simd/attention_few.h"
#include "kernels/simd/attention_micro.h"
#include "kernels/simd/attention_softmax.h"
#include "kernels/simd/quantize_block.h"

namespace tesserae {
inline namespace TESSERAE_ISA {
namespace {

using namespace attention;

void merge_heads(const MergeAttentionPartsParams& p, const MergedHeads& merged, float* totals) {
  const int64_t columns = part_maximum(p.v_dim);
  const int64_t line = part_line(p.v_dim);
  alignas(32) int32_t keys[kMostMergedHeads] = {};  // not 0 where there is a head
  alignas(32) float block_max[kMostMergedHeads] = {}, block_sum[kMostMergedHeads] = {};
  alignas(32) float keep[kMostMergedHeads], take[kMostMergedHeads];
  alignas(32) float total_max[kMostMergedHeads], total_sum[kMostMergedHeads] = {};
  std::fill(total_max, total_max + kMostMergedHeads, -INFINITY);
  std::fill(keys, keys + merged.heads, 1);
  std::fill(totals, totals + merged.heads * columns, 0.0f);
  for (int64_t part = 0; part < merged.parts; ++part) {
    const float* lines = merged.lines + part * merged.stride;
    for (int64_t head = 0; head < merged.heads; ++head) {
      block_max[head] = lines[head * line + columns];
      block_sum[head] = lines[head * line + columns + 1];
    }
    merge_maxima(block_max, keys, total_max, keep, take);
    merge_block_sums(block_sum, keys, keep, take, total_sum);
    for (int64_t head = 0; head < merged.heads; ++head) {
      const float* sums = lines + head * line;
      float* total = totals + head * columns;
      for (int64_t column = 0; column < p.v_dim; column += 8) {
        merge_sums(load_f32x8(sums + column), keep[head], take[head], total + column);
      }
    }
  }
  for (int64_t head = 0; head < merged.heads; ++head) {
    float* out = p.out + merged.row * p.out_row + (merged.first_head + head) * p.out_head;
    if (total_sum[head] == 0) std::fill(out, out + p.v_dim, 0.0f);
    else multiply(totals + head * columns, p.v_dim, 1 / total_sum[head], out);
  }
}

}  // namespace

KernelStatus merge_attention_parts_simd(const OpRecord& op, int64_t tile, Scratch& scratch) {
  const auto& p = op.as<MergeAttentionPartsParams>();
  float* totals = reinterpret_cast<float*>(scratch.data);
  return merge_groups(
      p, tile, [&](const MergedHeads& merged) { merge_heads(p, merged, totals); },
      [](const float* x, int64_t columns, ActivationBlock* y) { quantize_row(x, columns, y); });
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
