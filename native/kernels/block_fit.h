// The search for the scale (and minimum) of a group of floats. The quality of a quantized model depends on it. Included
// only by block_encode.h.
#pragma once

// Taking the scale from the extremes of a group does not give the smallest error. So several slightly wider and
// narrower grids are tried. Each grid assigns an integer to every element; for fixed integers the best scale (and
// minimum) is a weighted linear regression in closed form, and its squared error follows from the same sums. The grid
// with the least error is taken. ggml's reference quantizers do the same search, over the same grids and with the same
// weights.

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tesserae {

// A group whose extent is below this is written as zeros: its scale would be zero in f16.
constexpr double kLeastExtent = 1e-15;

// The nearest integer, ties to even. The value must fit into an int.
static inline int nearest(double value) { return static_cast<int>(std::lrint(value)); }

// x ≈ scale · integer + minimum, with minimum <= 0.
struct AffineFit {
  double scale;
  double minimum;
};

// The grids to try: inverse scales (most + first + i · step) / extent for i in [0, count).
struct Trials {
  double first;
  double step;
  int count;
};

// Weighted sums over a group for one assignment of integers q.
struct AffineSums {
  double q = 0;   // Σ w q
  double qq = 0;  // Σ w q²
  double qx = 0;  // Σ w q x
};

// Fits `count` elements to integers 0 to `most`. Large elements have larger weights, since their products are larger.
template <int count>
static inline AffineFit fit_affine(const float* x, int most, Trials trials) {
  double values[count];
  double weights[count];
  double squares = 0;
  double low = 0;
  double high = x[0];
  for (int i = 0; i < count; ++i) {
    values[i] = x[i];
    squares += values[i] * values[i];
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  const double extent = high - low;
  if (extent < kLeastExtent) return {0, low};
  const double mean_size = std::sqrt(squares / count);
  double w = 0;
  double wx = 0;
  double wxx = 0;
  for (int i = 0; i < count; ++i) {
    weights[i] = mean_size + std::fabs(values[i]);
    w += weights[i];
    wx += weights[i] * values[i];
    wxx += weights[i] * values[i] * values[i];
  }
  const auto sums_of = [&](double inverse) {
    AffineSums sums;
    for (int i = 0; i < count; ++i) {
      const double q = std::min(nearest((values[i] - low) * inverse), most);
      const double wq = weights[i] * q;
      sums.q += wq;
      sums.qq += wq * q;
      sums.qx += wq * values[i];
    }
    return sums;
  };
  // Σ w (scale · q + minimum - x)².
  const auto error_of = [&](const AffineSums& sums, AffineFit fit) {
    return wxx + fit.scale * (fit.scale * sums.qq + 2 * fit.minimum * sums.q - 2 * sums.qx) +
           fit.minimum * (fit.minimum * w - 2 * wx);
  };
  AffineFit best{extent / most, low};
  double least = error_of(sums_of(most / extent), best);
  for (int trial = 0; trial < trials.count; ++trial) {
    const AffineSums sums = sums_of((most + trials.first + trials.step * trial) / extent);
    const double determinant = w * sums.qq - sums.q * sums.q;
    if (!(determinant > 0)) continue;
    AffineFit fit{(w * sums.qx - wx * sums.q) / determinant, (sums.qq * wx - sums.q * sums.qx) / determinant};
    if (fit.minimum > 0) fit = {sums.qx / sums.qq, 0};
    const double error = error_of(sums, fit);
    if (error < least) {
      least = error;
      best = fit;
    }
  }
  return best;
}

// Fits x ≈ scale · q with q from -most to most - 1. Returns the scale, which may be negative; 0 for a group of zeros.
// The weight of an element is its square. The error is Σ w x² - (Σ w q x)² / Σ w q², so the grid with the largest
// subtrahend is taken.
template <int count>
static inline double fit_symmetric(const float* x, int most) {
  double extreme = 0;
  for (int i = 0; i < count; ++i) {
    if (std::fabs(static_cast<double>(x[i])) > std::fabs(extreme)) extreme = x[i];
  }
  if (std::fabs(extreme) < kLeastExtent) return 0;
  double values[count];
  double weights[count];
  for (int i = 0; i < count; ++i) {
    values[i] = x[i];
    weights[i] = values[i] * values[i];
  }
  constexpr int kTrials = 9;  // grids on either side, 0.1 apart in `most`
  double scale = 0;
  double greatest = 0;
  for (int trial = -kTrials; trial <= kTrials; ++trial) {
    const double inverse = -(most + 0.1 * trial) / extreme;
    double qx = 0;
    double qq = 0;
    for (int i = 0; i < count; ++i) {
      const double q = std::clamp(nearest(values[i] * inverse), -most, most - 1);
      const double wq = weights[i] * q;
      qx += wq * values[i];
      qq += wq * q;
    }
    if (qq > 0 && qx * qx > greatest * qq) {
      scale = qx / qq;
      greatest = scale * qx;
    }
  }
  return scale;
}

}  // namespace tesserae
