// Tables and numbers as text, for a terminal of 80 columns. Used by the suites' reports and by the command.

export interface Column<Row> {
  readonly title: string;
  readonly align: 'left' | 'right';
  readonly cell: (row: Row) => string;
}

/** Columns two spaces apart, as wide as they need to be. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], indent = ''): string {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((own) => (own[index] as string).length)),
  );
  const line = (texts: readonly string[]) => {
    const padded = columns.map(({ align }, index) => {
      const text = texts[index] as string;
      const width = widths[index] as number;
      return align === 'left' ? text.padEnd(width) : text.padStart(width);
    });
    return (indent + padded.join('  ')).trimEnd();
  };
  return `${[line(columns.map(({ title }) => title)), ...cells.map(line)].join('\n')}\n`;
}

/** Three significant digits: `0.0123`, `1.23`, `12.3`, `123`, `1,234`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 4));
}

export function formatShare(share: number | null): string {
  return share === null ? '' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function formatSpeedup(speedup: number): string {
  return `${speedup.toFixed(2)}×`;
}

const units = ['B', 'KiB', 'MiB', 'GiB'];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : formatNumber(value)} ${units[unit]}`;
}

export function formatMs(ms: number): string {
  return ms < 1 ? `${formatNumber(ms * 1000)} µs` : `${formatNumber(ms)} ms`;
}
