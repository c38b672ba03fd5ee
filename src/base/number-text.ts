// Numbers as text for people: rounded, with a unit. Used by the command, the benchmarks and their reports.

/** Three significant digits: `0.0123`, `1.23`, `12.3`, `123`, `1,234`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 4));
}

/** `93 %`; nothing for null. */
export function formatShare(share: number | null): string {
  return share === null ? '' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function formatSpeedup(speedup: number): string {
  return `${speedup.toFixed(2)}×`;
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB'];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : formatNumber(value)} ${byteUnits[unit]}`;
}

/** Milliseconds, or microseconds below one. */
export function formatMs(ms: number): string {
  return ms < 1 ? `${formatNumber(ms * 1000)} µs` : `${formatNumber(ms)} ms`;
}

export function formatWorkers(count: number): string {
  return count === 1 ? '1 worker' : `${count} workers`;
}
