// The chapter with the roofline (Williams, Waterman and Patterson 2009): GFLOPS against flops per byte, both
// logarithmic, with the probed peaks as limits and a numbered point for each measured shape.

import { formatMs, formatNumber, formatShare } from '../../../../src/base/number-text.js';
import type { Roofline } from '../../../../src/hardware/roofline.js';
import type { ThroughputRow } from '../../../suites/throughput.js';
import { table } from '../drawing/html-table.js';
import { element, isNarrow, type Markup, twoWidths } from '../drawing/markup.js';
import { drawing, type Frame, frameOf, legend, mark, polyline, text, xAxis, yAxis } from '../drawing/plot.js';
import { log2Scale, log10Scale, type Scale } from '../drawing/scale.js';
import type { Chapter, ReportData } from '../page-data.js';
import { rowsOf } from '../page-data.js';

interface Point {
  readonly number: number;
  readonly row: ThroughputRow;
  readonly flopsPerByte: number;
}

const seriesOf = { matmul: 0, attention: 1 } as const;

export function rooflineChapter({ report }: ReportData): Chapter | undefined {
  const rows = [...rowsOf(report, 'matmul'), ...rowsOf(report, 'attention')];
  const most = Math.max(...rows.map(({ workers }) => workers));
  const roof = report.roofline.find(({ workers }) => workers === most);
  if (rows.length === 0 || roof === undefined) return undefined;
  const points = rows
    .filter(({ workers }) => workers === most)
    .map((row) => ({ row, flopsPerByte: row.flops / row.bytes }))
    .sort((a, b) => a.flopsPerByte - b.flopsPerByte)
    .map((point, index) => ({ ...point, number: index + 1 }));
  return {
    id: 'roofline',
    title: `Roofline, ${most} ${most === 1 ? 'worker' : 'workers'}`,
    intro:
      'What the hardware can give for each ratio of arithmetic to memory traffic: on the slope the read bandwidth is the ' +
      'limit, on the level the FMA units. Operands and results count once; what a cache still holds from the call before ' +
      'may lift a point above the slope. The numbers are those of the table.',
    body: [
      legend([
        { index: 0, label: 'matmul', kind: 'mark', style: 'none' },
        { index: 1, label: 'attention', kind: 'mark', style: 'none' },
        {
          index: 0,
          label: `roofline: ${formatNumber(roof.fmaGflops)} GFLOPS (${roof.isa}), ${formatNumber(roof.readGBs)} GB/s`,
          kind: 'line',
          style: 'roof',
        },
      ]),
      ...twoWidths((width) => draw(width, points, roof)),
      table(
        [
          { title: '#', cell: ({ number }) => String(number) },
          { title: 'op', cell: ({ row }) => row.op, isText: true },
          { title: 'shape', cell: ({ row }) => row.name, isText: true },
          { title: 'sizes', cell: ({ row }) => row.shape, isText: true },
          { title: 'flops/byte', cell: ({ flopsPerByte }) => formatNumber(flopsPerByte) },
          { title: 'median', cell: ({ row }) => formatMs(row.medianMs) },
          { title: 'GFLOPS', cell: ({ row }) => formatNumber(row.gflops) },
          { title: 'of peak', cell: ({ row }) => formatShare(row.peakShare) },
          { title: 'of read', cell: ({ row }) => formatShare(row.readShare) },
        ],
        points,
        'Shares are of the probed FMA peak, and of the read bandwidth for shapes that are bound by it.',
      ),
    ],
  };
}

function draw(width: number, points: readonly Point[], { fmaGflops, readGBs }: Roofline): Markup {
  const frame = frameOf(width, isNarrow(width) ? 340 : 460);
  const ridge = fmaGflops / readGBs;
  const intensities = [...points.map(({ flopsPerByte }) => flopsPerByte), ridge];
  const least = 2 ** Math.floor(Math.log2(Math.min(...intensities) / 1.3));
  const most = 2 ** Math.ceil(Math.log2(Math.max(...intensities) * 1.3));
  // A disturbed probe may find a peak below the measured figures.
  const highest = Math.max(fmaGflops, ...points.map(({ row }) => row.gflops)) * 1.5;
  const lowest = Math.min(...points.map(({ row }) => row.gflops), least * readGBs) / 1.5;
  const x = log2Scale(
    { from: least, to: most, start: frame.left, end: width - frame.right },
    Math.ceil(Math.log2(most / least) / (isNarrow(width) ? 6 : 14)),
  );
  const y = log10Scale({ from: lowest, to: highest, start: frame.height - frame.bottom, end: frame.top }, 12);
  const roof = [
    [x.at(least), y.at(least * readGBs)],
    [x.at(ridge), y.at(fmaGflops)],
    [x.at(most), y.at(fmaGflops)],
  ] as const;
  return drawing(
    frame,
    'Roofline: GFLOPS against flops per byte',
    xAxis(frame, x, 'flops per byte'),
    yAxis(frame, y, 'GFLOPS'),
    polyline('roof', roof),
    points.map(({ row, flopsPerByte, number }) =>
      mark(
        seriesOf[row.op],
        [x.at(flopsPerByte), y.at(row.gflops)],
        `${number}: ${row.name}, ${formatNumber(row.gflops)} GFLOPS`,
      ),
    ),
    placeNumbers(points, { x, y, frame, roof }),
  );
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

interface Canvas {
  readonly x: Scale;
  readonly y: Scale;
  readonly frame: Frame;
  readonly roof: readonly (readonly [x: number, y: number])[];
}

/** Boxes along a line, so that no number is written over it. */
function boxesAlong(points: Canvas['roof']): Box[] {
  const parts = 60;
  return points.slice(1).flatMap(([toX, toY], index) => {
    const [fromX, fromY] = points[index] as readonly [number, number];
    const [stepX, stepY] = [(toX - fromX) / parts, (toY - fromY) / parts];
    return Array.from({ length: parts }, (_, part) =>
      boxAround(fromX + stepX * (part + 0.5), fromY + stepY * (part + 0.5), Math.abs(stepX) + 2, Math.abs(stepY) + 2),
    );
  });
}

const letterWidth = 7;
const letterHeight = 11;

/** Puts each number near its point where it covers no point, line or number; a distant one gets a leader line. */
function placeNumbers(points: readonly Point[], { x, y, frame, roof }: Canvas): Markup[] {
  const centres = points.map(({ row, flopsPerByte }) => [x.at(flopsPerByte), y.at(row.gflops)] as const);
  const taken: Box[] = [...centres.map(([cx, cy]) => boxAround(cx, cy, 10, 10)), ...boxesAlong(roof)];
  return points.map(({ number }, index) => {
    const [cx, cy] = centres[index] as readonly [number, number];
    const wide = letterWidth * String(number).length;
    for (const distance of [11, 16, 22, 30, 40, 52, 66]) {
      for (const [dx, dy] of directions) {
        const box = boxAround(cx + dx * (distance + wide / 4), cy + dy * distance, wide, letterHeight);
        if (box.left < frame.left || box.right > frame.width || box.top < 0 || box.bottom > frame.height - frame.bottom)
          continue;
        if (taken.some((other) => overlap(box, other))) continue;
        taken.push(box);
        const middle = (box.left + box.right) / 2;
        const label = text(String(number), middle, box.bottom - 1, 'middle', 'number');
        if (distance <= 16) return label;
        const end = [middle, dy > 0 ? box.top : box.bottom] as const;
        return element('g', {}, element('line', { class: 'leader', x1: cx, y1: cy, x2: end[0], y2: end[1] }), label);
      }
    }
    return element('g');
  });
}

const directions = [
  [0, -1],
  [0, 1],
  [1, 0],
  [-1, 0],
  [0.8, -0.8],
  [-0.8, -0.8],
  [0.8, 0.8],
  [-0.8, 0.8],
] as const;

function boxAround(cx: number, cy: number, wide: number, high: number): Box {
  return { left: cx - wide / 2, right: cx + wide / 2, top: cy - high / 2, bottom: cy + high / 2 };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
