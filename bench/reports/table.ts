// Tables as text. Used by the reports of the suites and of comparisons.

export interface Column<Row> {
  readonly title: string;
  readonly align: 'left' | 'right';
  readonly cell: (row: Row) => string;
}

export const left = <Row>(title: string, cell: (row: Row) => string): Column<Row> => ({ title, align: 'left', cell });
export const right = <Row>(title: string, cell: (row: Row) => string): Column<Row> => ({ title, align: 'right', cell });

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
