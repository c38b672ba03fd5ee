// The chapter on latency: median and 99th percentile of each small call on a logarithmic axis, with its limit.

import { formatNumber } from '../../../../src/base/number-text.js';
import type { LatencyRow } from '../../../suites/latency.js';
import { table } from '../drawing/html-table.js';
import { isNarrow, type Markup, twoWidths } from '../drawing/markup.js';
import { drawing, frameOf, legend, line, mark, text, xAxis } from '../drawing/plot.js';
import { log10Scale } from '../drawing/scale.js';
import type { Chapter, PeerRow, ReportData } from '../page-data.js';
import { rowsOf } from '../page-data.js';
import { ourName, peerColour } from '../peers-document.js';

/** In microseconds. */
interface Row {
  readonly name: string;
  readonly median: number;
  readonly p99: number | undefined;
  readonly limit: number | undefined;
  /** Medians of peers; `index` chooses the colour. */
  readonly peers: readonly { readonly name: string; readonly index: number; readonly median: number }[];
}

export function latencyChapter({ report, peers }: ReportData): Chapter | undefined {
  const rows = rowsOf(report, 'latency');
  const indexOf = (name: string) => (peers === undefined ? 0 : peerColour(peers, name));
  const small = [
    ...rows.filter(({ unit }) => unit === 'µs').map(ownRow),
    ...(peers?.rows ?? []).flatMap((row) => peerRow(row, indexOf)),
  ];
  if (small.length === 0) return undefined;
  const seen = new Set(small.flatMap((row) => row.peers.map(({ name }) => name)));
  return {
    id: 'latency',
    title: 'Latency of small ops',
    intro:
      'From the call to its end as the caller sees it: await included. Lower is better. Rows of many ops give the time ' +
      'of one of them.',
    body: [
      legend([
        { index: 0, label: `${ourName}, median`, kind: 'mark', style: 'none' },
        ...[...seen].map((label) => ({ index: indexOf(label), label, kind: 'mark', style: 'none' }) as const),
        { index: 0, label: 'to the 99th percentile', kind: 'line', style: 'stem' },
        { index: 0, label: 'limit of the median', kind: 'line', style: 'limit' },
      ]),
      ...twoWidths((width) => draw(width, small)),
      ...(rows.length > 0 ? [latencyTable(rows)] : []),
    ],
  };
}

function latencyTable(rows: readonly LatencyRow[]): Markup {
  return table(
    [
      { title: 'call', cell: ({ name }) => name, isText: true },
      { title: 'median', cell: withUnit('median') },
      { title: 'p99', cell: withUnit('p99') },
      { title: 'max', cell: withUnit('max') },
      {
        title: 'limit',
        cell: ({ limit, unit }) => (limit === null ? '' : `${limit.statistic} < ${limit.below} ${unit}`),
        isText: true,
      },
      { title: '', cell: ({ holds }) => (holds === null ? '' : holds ? 'holds' : 'exceeded'), isText: true },
      { title: 'what', cell: ({ what }) => what, isText: true },
    ],
    rows,
    'All rows of the suite, those in milliseconds included; peers are in their own table.',
  );
}

function withUnit(statistic: 'median' | 'p99' | 'max'): (row: LatencyRow) => string {
  return (row) => `${formatNumber(row[statistic])} ${row.unit}`;
}

function ownRow({ name, median, p99, limit }: LatencyRow): Row {
  return { name, median, p99, limit: limit?.statistic === 'median' ? limit.below : undefined, peers: [] };
}

function peerRow({ name, unit, figures: [ours, ...others] }: PeerRow, indexOf: (name: string) => number): Row[] {
  if (!unit.startsWith('µs') || ours === undefined) return [];
  const peers = others.map((figure) => ({
    name: figure.name,
    index: indexOf(figure.name),
    median: figure.value,
  }));
  return [{ name, median: ours.value, p99: undefined, limit: undefined, peers }];
}

function draw(width: number, rows: readonly Row[]): Markup {
  const narrow = isNarrow(width);
  const rowPitch = narrow ? 58 : 44;
  const frame = {
    ...frameOf(width, 68 + rowPitch * rows.length, narrow ? 12 : labelWidth(rows)),
    right: narrow ? 16 : 70,
  };
  const figures = rows.flatMap(({ median, p99, limit, peers }) => [
    ...[median, p99 ?? median, limit ?? median],
    ...peers.map((peer) => peer.median),
  ]);
  // Room for half of the label under the leftmost mark.
  const from = Math.min(...figures) / (narrow ? 3.5 : 1.6);
  const to = Math.max(...figures) * (narrow ? 2.5 : 1.6);
  const x = log10Scale({ from, to, start: frame.left, end: width - frame.right }, narrow ? 7 : 14);
  return drawing(
    frame,
    'Latency of small ops',
    xAxis(frame, x, 'µs'),
    rows.map(({ name, median, p99, limit, peers }, index) => {
      const y = frame.top + rowPitch * (index + 0.5) + (narrow ? 6 : 0);
      const label = `${formatNumber(median)} µs`;
      return [
        narrow ? text(name, frame.left, y - 13, 'start', 'row') : text(name, frame.left - 10, y + 4, 'end', 'row'),
        p99 === undefined ? '' : line('stem', [x.at(median), y], [x.at(p99), y]),
        limit === undefined ? '' : line('limit', [x.at(limit), y - 11], [x.at(limit), y + 11]),
        peers.map((peer) =>
          mark(peer.index, [x.at(peer.median), y], `${name}, ${peer.name}: ${formatNumber(peer.median)} µs`),
        ),
        mark(0, [x.at(median), y], `${name}: ${label}`),
        text(label, x.at(median), y + 18, 'middle', 'number'),
      ];
    }),
  );
}

/** Room for the longest name to the left of the rows. */
function labelWidth(rows: readonly Row[]): number {
  return Math.min(320, 24 + 7.4 * Math.max(...rows.map(({ name }) => name.length)));
}
