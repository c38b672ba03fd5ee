// matmul for the vector sets: its micro-kernel for the blocked paths (matmul_blocked.h), and the call of the thin path.
#include "kernels/matmul.h"

#include "kernels/simd/matmul_blocked.h"
#include "kernels/simd/matmul_thin.h"
#include "kernels/simd/pack_a.h"
#include "kernels/simd/sgemm_6x16.h"

namespace tesserae {
namespace matmul {
namespace {

using MicroKernel = void (*)(int64_t k, const float* a, int64_t a_rs, const float* b, const float* from, float* to,
                             int64_t to_rs);

template <bool PackedA, int Vectors>
constexpr MicroKernel kByRows[kMr + 1] = {nullptr,
                                          sgemm_6x16<1, Vectors, PackedA>,
                                          sgemm_6x16<2, Vectors, PackedA>,
                                          sgemm_6x16<3, Vectors, PackedA>,
                                          sgemm_6x16<4, Vectors, PackedA>,
                                          sgemm_6x16<5, Vectors, PackedA>,
                                          sgemm_6x16<6, Vectors, PackedA>};

struct Micro6x16 {
  static constexpr int64_t kRows = kMr;
  static constexpr int64_t kPanels = 1;

  template <bool PackedA>
  static void run(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t a_rs, const float* b,
                  const float* from, float* to, int64_t to_rs) {
    const auto kernel = columns > 8 ? kByRows<PackedA, 2>[rows] : kByRows<PackedA, 1>[rows];
    kernel(k, a, a_rs, b, from, to, to_rs);
  }
  static bool can_pack_and_run(const PackSource&) { return false; }
  template <bool PackedA>
  static void pack_and_run(int64_t, int64_t, const float*, int64_t, const PackSource&, int64_t, float*, const float*,
                           float*, int64_t) {}
  static bool can_store(int64_t columns) { return columns % 8 == 0; }
  static constexpr PackPanels pack_b = pack_b_panels;
  static void pack_a(const float* a, int64_t rs, int64_t cs, int64_t rows, int64_t k, float* to) {
    matmul::pack_a(a, rs, cs, rows, k, to);
  }
};

}  // namespace
}  // namespace matmul

inline namespace TESSERAE_ISA {

KernelStatus matmul_simd(const OpRecord& op, int64_t tile_index, Scratch& scratch) {
  const auto& p = op.as<MatmulParams>();
  auto* floats = reinterpret_cast<float*>(scratch.data);
  const MatmulTile tile = matmul_tile(p, tile_index);
  for (int64_t batch = tile.first_batch; batch < tile.last_batch; ++batch) {
    const MatmulOperands x = matmul_operands(p, batch);
    if (static_cast<MatmulPath>(p.path) == MatmulPath::thin) matmul::compute_thin_tile(p, x, tile, floats);
    else matmul::blocked_tile<matmul::Micro6x16>(p, x, tile, floats);
  }
  return KernelStatus::ok;
}

}  // namespace TESSERAE_ISA
}  // namespace tesserae
