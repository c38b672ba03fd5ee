// The micro-kernels of matmul by their numbers of rows and columns, and what the blocked loops (matmul_blocked.h) need
// beside them. Included by matmul.cpp.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/simd/pack_a.h"
#include "kernels/simd/pack_b.h"
#include "kernels/simd/sgemm.h"

namespace tesserae::matmul {
inline namespace TESSERAE_ISA {

using FirstLanesOf = LanesOf<Floats>::First;

template <typename Element>
using MicroKernel = void (*)(int64_t k, const float* a, int64_t a_rs, const Element* b, const float* from, float* to,
                             int64_t to_rs, FirstLanesOf last);

// Where the panels of B are.
enum class PanelsIn { cache, memory };

template <int Rows, int Vectors, bool PackedA, PanelsIn Place, typename Element>
void on_packed(int64_t k, const float* a, int64_t a_rs, const Element* b, const float* from, float* to, int64_t to_rs,
               FirstLanesOf last) {
  constexpr int kPanels = static_cast<int>((Vectors * kFloats + kNr - 1) / kNr);
  if constexpr (Place == PanelsIn::memory) {
    const StreamedRows<Element, kPanels> rows = {b, k};
    sgemm<Rows, Vectors, PackedA>(k, a, a_rs, rows, from, to, to_rs, last);
  } else {
    sgemm<Rows, Vectors, PackedA>(k, a, a_rs, PackedRows<Element>{b, k}, from, to, to_rs, last);
  }
}

template <int MostRows, typename Element>
struct KernelsByRows {
  MicroKernel<Element> of[MostRows + 1];
};

template <bool PackedA, PanelsIn Place, int Vectors, typename Element, int... Rows>
constexpr KernelsByRows<sizeof...(Rows), Element> kernels_by_rows(std::integer_sequence<int, Rows...>) {
  return {{nullptr, on_packed<Rows + 1, Vectors, PackedA, Place, Element>...}};
}

template <bool PackedA, PanelsIn Place, int Vectors, int MostRows, typename Element>
constexpr KernelsByRows<MostRows, Element> kByRows =
    kernels_by_rows<PackedA, Place, Vectors, Element>(std::make_integer_sequence<int, MostRows>());

template <int Rows, int Panels, bool PackedA, typename Element>
void packing(int64_t k, const float* a, int64_t a_rs, const PackSource& b, Mask16 present, float* panels,
             const float* from, float* to, int64_t to_rs, Mask16 last) {
  const int64_t panel_bytes = k * kNr * static_cast<int64_t>(sizeof(float));
  const PackingRows<Element, Panels> rows = {static_cast<const Element*>(b.data), b.rs, panels, panel_bytes, present};
  sgemm<Rows, Panels, PackedA>(k, a, a_rs, rows, from, to, to_rs, last);
}

// The lanes of the last vector of some columns.
static FirstLanesOf first_of_last(int64_t columns) { return LanesOf<Floats>::first((columns - 1) % kFloats + 1); }

// A micro-tile of Rows rows and Panels panels (Micro of matmul_blocked.h).
template <int Rows, int Panels>
struct MicroTile {
  static constexpr int64_t kRows = Rows;
  static constexpr int64_t kPanels = Panels;
  static constexpr int64_t kColumns = Panels * kNr;
  static constexpr int kVectors = static_cast<int>(kColumns / kFloats);
  // Packing while the first rows are computed needs micro-tiles of several panels: with one, each row of B would be
  // read in pieces of a cache line.
  static constexpr bool kPacksAndRuns = Panels > 1;

  template <bool PackedA, PanelsIn Wanted, typename Element>
  static void run(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_rs, const Element* b,
                  const float* from, float* to, int64_t to_rs) {
    static_assert(kVectors == 2 || kVectors == 3);
    // One panel is one stream, which the hardware prefetchers follow.
    constexpr PanelsIn Place = Panels > 1 ? Wanted : PanelsIn::cache;
    MicroKernel<Element> kernel = kByRows<PackedA, Place, 1, Rows, Element>.of[rows];
    if (columns > kFloats) kernel = kByRows<PackedA, Place, 2, Rows, Element>.of[rows];
    if (kVectors > 2 && columns > 2 * kFloats) kernel = kByRows<PackedA, Place, kVectors, Rows, Element>.of[rows];
    kernel(k, a, a_rs, b, from, to, to_rs, first_of_last(columns));
  }

  static bool can_pack_and_run(const PackSource& b) { return kPacksAndRuns && b.cs == 1; }
  template <bool PackedA>
  static void pack_and_run(int64_t columns, int64_t k, const float* a, int64_t a_rs, const PackSource& b,
                           int64_t b_columns, float* panels, const float* from, float* to, int64_t to_rs) {
    if constexpr (kPacksAndRuns) {
      const auto with = [&](auto element) {
        using Element = decltype(element);
        auto kernel = packing<Rows, 1, PackedA, Element>;
        if (columns > kNr) kernel = packing<Rows, 2, PackedA, Element>;
        if (Panels > 2 && columns > 2 * kNr) kernel = packing<Rows, Panels, PackedA, Element>;
        kernel(k, a, a_rs, b, first_of_last(b_columns), panels, from, to, to_rs, first_of_last(columns));
      };
      if (b.dtype == DType::f16) with(Half{});
      else if (b.dtype == DType::bf16) with(Bfloat{});
      else with(float{});
    }
  }

  static bool can_store(int64_t columns) { return kStoresPartly || columns % kFloats == 0; }
  static void pack_a(const float* a, int64_t rs, int64_t cs, int64_t rows, int64_t k, float* to) {
    matmul::pack_a<kRows>(a, rs, cs, rows, k, to);
  }
};

}  // namespace TESSERAE_ISA
}  // namespace tesserae::matmul
