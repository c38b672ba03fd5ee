// Order statistics of samples. Pure functions.

/** The value below which `fraction` of the samples lie, interpolated; NaN without samples. */
export function quantile(samples: readonly number[], fraction: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const position = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

export function largest(samples: readonly number[]): number {
  return quantile(samples, 1);
}

export function smallest(samples: readonly number[]): number {
  return quantile(samples, 0);
}
