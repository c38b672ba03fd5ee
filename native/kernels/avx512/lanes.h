// Masks of sixteen lanes. Included by the AVX-512 sources only.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tesserae {
inline namespace TESSERAE_ISA {

// The mask of the first `count` lanes, 0 to 16.
[[gnu::always_inline]] inline __mmask16 first_of_16(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }

}  // namespace TESSERAE_ISA
}  // namespace tesserae
