// A panel: a block of k of a few strips of weights, decoded to bytes and f32 scales in scratch, and used for all rows of
// activations of a tile. Included by the quantized kernels of each vector instruction set.
#pragma once

#include <algorithm>

#include "kernels/caches.h"
#include "kernels/simd/quantized_unit.h"

namespace tesserae::quantized {
inline namespace TESSERAE_ISA {

#ifdef __AVX512F__
constexpr int kPanelStrips = 4;
#else
constexpr int kPanelStrips = 2;
#endif
constexpr int64_t kPanelRows = kPanelStrips * kStripRows;

// Splits k: the codes of a panel and their scales stay in L1 while the rows of activations pass. A multiple of the block
// of every type.
constexpr int64_t kPanelK = 256;
template <typename K>
constexpr int64_t kPlanes = K::is_split ? 2 : 1;
constexpr int64_t kMostPlanes = 2;

// codes is, for each group, [quads][strips][planes][32 bytes], with two planes if codes are split. The other arrays,
// with a value for each group and row, are [groups][kPanelRows].
struct Panel {
  alignas(64) unsigned char codes[kPanelK * kPanelRows * (kPanelStrips == 2 ? kMostPlanes : 1)];
  alignas(64) float scales[kPanelK / 16 * kPanelRows];
  alignas(64) float mins[kPanelK / 16 * kPanelRows];
  alignas(64) int32_t negatives[kPanelK / 16 * kPanelRows];  // if split: the sum of the magnitudes of negative codes
};

template <typename K>
constexpr int64_t kQuadBytes = kPanelStrips * kPlanes<K> * 32;

// The weights of a panel in the image: some bytes of each strip, from one unit on. The matrix has `existing` strips from
// the first one on; the others repeat its last one.
struct PanelSource {
  const unsigned char* strips[kPanelStrips];
  int64_t existing;
  int64_t blocks;
  int64_t bytes;
};

constexpr int64_t kMostUnitBytes = 1680;
alignas(64) inline constexpr unsigned char kZeroUnit[kMostUnitBytes] = {};

// Decodes one block of k, number `block` of the source, with store_scales and store_quads of the set's quantized_group.h:
// two strips at a time, since the CPU writes two vectors at once if they are halves of one cache line. A strip that does
// not exist becomes zeros.
template <QuantizedType type>
TESSERAE_QUANTIZED_INLINE void decode_block(const PanelSource& source, int64_t block, Panel& panel) {
  using U = Unit<type>;
  using K = typename U::K;
  static_assert(U::layout.unit_bytes <= kMostUnitBytes, "a unit of zeros");
  constexpr int64_t kHalves = 32 / K::group, kUnitBlocks = U::format.block_elements / 32;
  const int64_t of_unit = block % kUnitBlocks;
  const int64_t byte = block / kUnitBlocks * U::layout.unit_bytes;
#pragma GCC unroll 2
  for (int strip = 0; strip < kPanelStrips; strip += 2) {
    const U first(strip < source.existing ? source.strips[strip] + byte : kZeroUnit);
    const U second(strip + 1 < source.existing ? source.strips[strip + 1] + byte : kZeroUnit);
    int64_t at = block * kHalves * kPanelRows + strip * kStripRows;
    if (of_unit == 0) {
      store_scales(first, panel.scales + at, panel.mins + at);
      store_scales(second, panel.scales + at + kStripRows, panel.mins + at + kStripRows);
    }
    unsigned char* codes = panel.codes + block * kHalves * K::quads * kQuadBytes<K> + strip * 32 * kPlanes<K>;
#pragma GCC unroll 2
    for (int half = 0; half < kHalves; ++half, at += kPanelRows, codes += K::quads * kQuadBytes<K>) {
      store_quads(first, second, of_unit * kHalves + half, half, codes, panel.negatives + at);
    }
  }
}

// Whether the lines of a panel to come are better fetched into L2 than into L1, for so many groups of rows. In an L1 of 32 KiB
// there is no room for them beside two panels of the AVX-512 set and the activations. With many groups the time is in the products.
inline bool fetches_into_l2(int64_t groups) { return kPanelStrips == 4 && groups <= 2 && has_small_l1(); }

// Prepares the panels to come while rows are multiplied with one: in `steps` equal steps decodes the next panel and
// prefetches the one after that, so that memory is read at an even rate.
template <QuantizedType type>
class Ahead {
 public:
  Ahead(const PanelSource& next, const PanelSource& after, Panel& panel, int64_t steps, bool into_l2)
      : next_(next),
        after_(after),
        panel_(panel),
        decode_rate_(rate(next.blocks, steps)),
        fetch_rate_(rate(after.bytes, steps)),
        into_l2_(into_l2) {}

  TESSERAE_QUANTIZED_INLINE void step() {
    ++steps_;
    const int64_t bytes = steps_ * fetch_rate_ >> kShift;
    for (; fetched_ < bytes; fetched_ += 64) {
#pragma GCC unroll 4
      for (int s = 0; s < kPanelStrips; ++s) {
        if (into_l2_) prefetch_far(after_.strips[s] + fetched_);
        else prefetch(after_.strips[s] + fetched_);
      }
    }
    const int64_t blocks = std::min(steps_ * decode_rate_ >> kShift, next_.blocks);
    for (; decoded_ < blocks; ++decoded_) decode_block<type>(next_, decoded_, panel_);
  }

 private:
  static constexpr int kShift = 16;
  static int64_t rate(int64_t all, int64_t steps) { return ((all << kShift) + steps - 1) / steps; }

  const PanelSource& next_;
  const PanelSource& after_;
  Panel& panel_;  // receives the next one
  const int64_t decode_rate_, fetch_rate_;  // blocks and bytes of each strip in a step, times 2^kShift
  const bool into_l2_;
  int64_t steps_ = 0, decoded_ = 0, fetched_ = 0;
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::quantized
