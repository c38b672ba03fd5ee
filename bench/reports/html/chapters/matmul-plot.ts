// The chapter on MatMul: GFLOPS of square products against their size, for each worker count and each peer, and the FMA
// peaks.

import { formatMs, formatNumber, formatShare } from '../../../../src/base/number-text.js';
import type { Roofline } from '../../../../src/hardware/roofline.js';
import { table } from '../drawing/html-table.js';
import { element, isNarrow, type Markup, twoWidths } from '../drawing/markup.js';
import {
  colourOf,
  drawing,
  frameOf,
  type LegendEntry,
  legend,
  line,
  mark,
  polyline,
  text,
  xAxis,
  yAxis,
} from '../drawing/plot.js';
import { linearScale, log2Scale, roundEnd } from '../drawing/scale.js';
import type { Chapter, PeerData, ReportData } from '../page-data.js';
import { rowsOf } from '../page-data.js';
import { ourName, peerColour, peerNames } from '../peers-document.js';

interface Series {
  readonly label: string;
  /** Chooses the colour. */
  readonly index: number;
  readonly points: readonly { readonly size: number; readonly gflops: number; readonly medianMs: number }[];
}

export function matmulChapter(data: ReportData): Chapter | undefined {
  const series = seriesOf(data);
  if (series.length === 0) return undefined;
  const { roofline } = data.report;
  const sizes = [...new Set(series.flatMap(({ points }) => points.map(({ size }) => size)))].sort((a, b) => a - b);
  const lines: LegendEntry[] = series.map(({ label, index }) => ({ index, label, kind: 'mark' }));
  const by = roofline.length === 0 ? '' : ` with ${roofline[0]?.isa}`;
  const peaks: LegendEntry = { index: 0, label: `FMA peak, probed in the same run${by}`, kind: 'line', style: 'peak' };
  const most = roofline.at(-1)?.fmaGflops;
  return {
    id: 'matmul',
    title: 'MatMul, f32, n × n × n',
    intro:
      'Billions of floating-point operations a second, from the median time of an awaited call. Higher is better; the ' +
      'dashed lines are what the cores can give in registers.' +
      (data.peers === undefined
        ? ''
        : ' All contenders on the same number of threads were measured in turn, in one run.'),
    body: [
      legend([...lines, peaks]),
      ...twoWidths((width) => draw(width, series, sizes, roofline)),
      table(
        [
          { title: 'n', cell: ({ size }) => String(size) },
          ...series.map(({ label, points }) => ({
            title: label,
            cell: ({ size }: { size: number }) => {
              const point = points.find((candidate) => candidate.size === size);
              if (point === undefined) return '';
              const share = most === undefined ? '' : `, ${formatShare(point.gflops / most)}`;
              return `${formatNumber(point.gflops)} (${formatMs(point.medianMs)}${share})`;
            },
          })),
        ],
        sizes.map((size) => ({ size })),
        'GFLOPS, the median time, and the share of the peak of all workers.',
      ),
    ],
  };
}

/** With peers, our series of as many workers comes from their run, in which both took turns, not from ours. */
function seriesOf({ report, peers }: ReportData): Series[] {
  const squares = rowsOf(report, 'matmul').flatMap((row) => {
    const [, size] = /^square_(\d+)$/.exec(row.name) ?? [];
    return size === undefined ? [] : [{ ...row, size: Number(size) }];
  });
  const beside = peers === undefined ? [] : besidePeers(peers);
  const counts = [...new Set(squares.map(({ workers }) => workers))].sort((a, b) => b - a);
  const own = counts
    .filter((workers) => beside.length === 0 || workers !== peers?.workers)
    .map((workers) => ({
      label: labelOf(workers),
      index: workers === counts[0] ? 0 : 1,
      points: squares.filter((row) => row.workers === workers),
    }));
  const [ours, ...theirs] = beside;
  return ours === undefined ? own : [ours, ...own, ...theirs];
}

function besidePeers(peers: PeerData): Series[] {
  // Only powers of two: other sizes would put kinks into the lines. The peers' table has all.
  const rows = peers.rows.flatMap((row) =>
    row.size !== undefined && Number.isInteger(Math.log2(row.size)) ? [{ ...row, size: row.size }] : [],
  );
  if (rows.length === 0) return [];
  return [ourName, ...peerNames(peers)]
    .map((name) => ({
      label: name === ourName ? labelOf(peers.workers) : name,
      index: name === ourName ? 0 : peerColour(peers, name),
      points: rows.flatMap(({ size, figures }) =>
        figures.filter((figure) => figure.name === name).map(({ gflops, medianMs }) => ({ size, gflops, medianMs })),
      ),
    }))
    .filter(({ points }) => points.length > 0);
}

function labelOf(workers: number): string {
  return `${ourName}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`;
}

function draw(
  width: number,
  series: readonly Series[],
  sizes: readonly number[],
  roofline: readonly Roofline[],
): Markup {
  const frame = frameOf(width, isNarrow(width) ? 300 : 420);
  const { left, right, top, bottom, height } = frame;
  const figures = series.flatMap(({ points }) => points.map(({ gflops }) => gflops));
  const most = Math.max(...figures, ...roofline.map(({ fmaGflops }) => fmaGflops)) * 1.04;
  const [first = 1, last = 2] = [sizes[0], sizes.at(-1)];
  const isSingle = first === last;
  const x = log2Scale({
    from: isSingle ? first / 2 : first / 1.15,
    to: isSingle ? last * 2 : last * 1.15,
    start: left,
    end: width - right,
  });
  const y = linearScale({ from: 0, to: roundEnd(most, 6), start: height - bottom, end: top }, 6);
  return drawing(
    frame,
    'GFLOPS of square matrix products against their size',
    xAxis(frame, x, 'n'),
    yAxis(frame, y, 'GFLOPS'),
    roofline.map(({ fmaGflops }) => line('peak', [left, y.at(fmaGflops)], [width - right, y.at(fmaGflops)])),
    // Ours is drawn last, over the others.
    series
      .map(({ label, points, index }) => {
        const sorted = [...points].sort((a, b) => a.size - b.size);
        const at = ({ size, gflops }: (typeof sorted)[number]) => [x.at(size), y.at(gflops)] as const;
        return element(
          'g',
          {},
          polyline(colourOf(index), sorted.map(at)),
          sorted.map((point) =>
            mark(index, at(point), `${label}, n = ${point.size}: ${formatNumber(point.gflops)} GFLOPS`),
          ),
        );
      })
      .reverse(),
    roofline.map(({ workers, fmaGflops }) =>
      text(`peak of ${workers}: ${formatNumber(fmaGflops)}`, width - right, y.at(fmaGflops) - 5, 'end', 'note'),
    ),
  );
}
