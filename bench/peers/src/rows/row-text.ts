// The comparison as text, a line for each row. Measures nothing.
import { formatNumber } from '../../../../dist/src/base/number-text.js';
import type { Figure, RowReport } from './row-report.js';

/** A row is marked as disturbed when other processes took more than this share of the CPUs. */
const muchDisturbed = 0.03;

const columns: readonly {
  readonly title: string;
  readonly width: number;
  readonly cell: (row: RowReport) => string;
}[] = [
  { title: 'row', width: -40, cell: ({ name }) => name },
  { title: 'ours', width: 14, cell: ({ ours, unit }) => formatValue(ours, unit) },
  { title: 'best peer', width: 28, cell: bestPeer },
  { title: 'ratio', width: 7, cell: ({ ratio }) => (ratio === null ? '–' : `${ratio.toFixed(2)}×`) },
  {
    title: 'share',
    width: 7,
    cell: ({ share, bound }) => (share === null ? '' : `${Math.round(share * 100)} % ${bound}`),
  },
  { title: 'target', width: -28, cell: ({ target }) => target },
  {
    title: 'met',
    width: -4,
    cell: ({ met, target }) => (target === '' ? '' : met === null ? '?' : met ? 'yes' : 'NO'),
  },
];

export function tableHead(): string {
  return renderLine(columns.map(({ title }) => title));
}

export function tableLine(row: RowReport): string {
  const mark =
    row.othersShare !== null && row.othersShare > muchDisturbed ? ` disturbed: ${percent(row.othersShare)}` : '';
  const limit =
    row.beyondPeak === null ? [] : [`the target asks for ${formatNumber(row.beyondPeak)} GF/s, more than P`];
  const notes = [...limit, ...row.notes].map((note) => `\n    ${note}`).join('');
  return renderLine(columns.map(({ cell }) => cell(row))) + mark + notes;
}

/** All peers of a row, for `--details`. */
export function detailLine({ peers, unit, ours }: RowReport): string {
  const text = (figure: Figure) => `${figure.name} ${formatValue(figure, unit)}${figure.how ? ` (${figure.how})` : ''}`;
  return `${ours.name}: ${peers.map(text).join('; ')}`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function bestPeer({ best, peers, unit }: RowReport): string {
  const figure = peers.find(({ name }) => name === best);
  return figure === undefined ? '–' : `${formatValue(figure, unit)} ${figure.name}`;
}

function formatValue({ value }: Figure, unit: RowReport['unit']): string {
  if (unit === 'of free speed') return percent(value);
  return `${formatNumber(value)} ${unit === 'GFLOPS' ? 'GF/s' : unit}`;
}

/** A negative width aligns to the left. */
function renderLine(cells: readonly string[]): string {
  const padded = cells.map((cell, index) => {
    const width = columns[index]?.width ?? 0;
    return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
  });
  return padded.join('  ').trimEnd();
}
