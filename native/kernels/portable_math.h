// exp and log of doubles with the bits of test/support/sampling/portable-exp.ts and portable-log.ts: only +, -, ×, ÷
// and bit operations, in the same order, and no FMA. Included by the kernels of sample and
// cross_entropy.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tesserae {

constexpr double kLn2High = 0.6931471803691238;  // 32 significant bits
constexpr double kLn2Low = 1.9082149292705877e-10;
constexpr double kLog2E = 1.4426950408889634;
constexpr double kSmallestExponent = -708;  // below it exp is 0

// 1/n! from n = 13 down.
constexpr double kExpCoefficients[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                       1.0 / 40320,      1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,
                                       1.0 / 6,          1.0 / 2,         1.0,            1.0};

static inline double double_of_bits(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// For x up to 0.
static inline double portable_exp(double x) {
  if (x < kSmallestExponent) return 0;
  const double power = std::floor(x * kLog2E + 0.5);  // Math.round: exact for numbers up to 0
  const double rest = x - power * kLn2High - power * kLn2Low;
  double sum = 0;
  for (const double coefficient : kExpCoefficients) sum = sum * rest + coefficient;
  return sum * double_of_bits(static_cast<uint64_t>(static_cast<int64_t>(power) + 1023) << 52);
}

// Of a number of at least 0 that is not subnormal.
static inline double portable_log(double x) {
  if (x == 0) return -INFINITY;
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  auto power = static_cast<double>(static_cast<int64_t>(bits >> 52) - 1023);
  double mantissa = double_of_bits((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  if (mantissa > 1.4142135623730951) {
    mantissa /= 2;
    power += 1;
  }
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int n = 11; n >= 0; --n) sum = sum * square + 2.0 / (2 * n + 1);
  return power * kLn2High + (power * kLn2Low + s * sum);
}

}  // namespace tesserae
