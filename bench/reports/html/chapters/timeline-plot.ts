// The chapter on a program's tiles over time: a row for each worker, a box for each tile, coloured by kernel; and a
// table with the time of each step.

import { formatBytes, formatMs, formatNumber, formatShare } from '../../../../src/base/number-text.js';
import type { ProgramProfile, StepProfile } from '../../../../src/index.js';
import { table } from '../drawing/html-table.js';
import { element, isNarrow, type Markup, twoWidths } from '../drawing/markup.js';
import { colourOf, drawing, frameOf, legend, text, xAxis } from '../drawing/plot.js';
import { linearScale } from '../drawing/scale.js';
import type { Chapter, ReportData } from '../page-data.js';

export function timelineChapter({ timeline, report }: ReportData): Chapter | undefined {
  if (timeline === undefined) return undefined;
  const { profile, what } = timeline;
  const { threads, wallNs, idleNs, steps } = profile;
  const kernels = kernelsByTime(steps);
  const peak = report.roofline.find(({ workers }) => workers === threads);
  const busy = steps.reduce((sum, { threadNs }) => sum + threadNs, 0) / (threads * wallNs);
  return {
    id: 'timeline',
    title: 'A program on its workers',
    intro:
      `${what}: ${steps.length} steps in ${profile.tiles.length} tiles, ${formatMs(wallNs / 1e6)} from the call to its end ` +
      `(the median of ${profile.runs} runs). The workers spent ${formatShare(busy)} of it in tiles; ` +
      `${formatMs(idleNs / 1e6)} passed with no tile under way, the hand-over among it.`,
    body: [
      legend(kernels.map((label, index) => ({ index, label, kind: 'box' }))),
      ...twoWidths((width) => draw(width, profile, kernels)),
      table(
        [
          { title: '#', cell: ({ number }) => String(number) },
          { title: 'kernel', cell: ({ kernel }) => kernel, isText: true },
          { title: 'tiles', cell: ({ tiles }) => String(tiles) },
          { title: 'Mflop', cell: ({ flops }) => formatNumber(flops / 1e6) },
          { title: 'read', cell: ({ bytesRead }) => formatBytes(bytesRead) },
          { title: 'written', cell: ({ bytesWritten }) => formatBytes(bytesWritten) },
          { title: 'in threads', cell: ({ threadNs }) => formatMs(threadNs / 1e6) },
          { title: 'of wall', cell: ({ wallShare }) => formatShare(wallShare) },
          { title: 'GFLOPS', cell: ({ flops, wallNs }) => formatNumber(flops / wallNs) },
          {
            title: 'of peak',
            cell: ({ flops, wallNs }) => (peak === undefined ? '' : formatShare(flops / wallNs / peak.fmaGflops)),
          },
          {
            title: 'GB/s',
            cell: ({ bytesRead, bytesWritten, wallNs }) => formatNumber((bytesRead + bytesWritten) / wallNs),
          },
        ],
        steps.map((step, index) => ({ ...step, number: index + 1 })),
        'The steps in order. Wall time is divided evenly among the tiles under way at each moment; GB/s count each operand once, whatever cache it lies in.',
      ),
    ],
  };
}

/** The kernels of a program, the one that takes longest first. */
function kernelsByTime(steps: readonly StepProfile[]): string[] {
  const times = new Map<string, number>();
  for (const { kernel, threadNs } of steps) times.set(kernel, (times.get(kernel) ?? 0) + threadNs);
  return [...times].sort(([, a], [, b]) => b - a).map(([kernel]) => kernel);
}

function draw(width: number, { tiles, steps, threads, wallNs }: ProgramProfile, kernels: readonly string[]): Markup {
  const seats = [...new Set(tiles.map(({ seat }) => seat))].sort((a, b) => a - b);
  const narrow = isNarrow(width);
  const [unit, unitNs] = wallNs < 5e6 ? (['µs', 1000] as const) : (['ms', 1e6] as const);
  const boxHeight = 40;
  const pitch = boxHeight + (narrow ? 24 : 12);
  const frame = { ...frameOf(width, 68 + pitch * seats.length, narrow ? 10 : 84), right: 18 };
  const x = linearScale({ from: 0, to: wallNs / unitNs, start: frame.left, end: width - frame.right }, narrow ? 4 : 8);
  return drawing(
    frame,
    'Tiles of the program on each worker over time',
    xAxis(frame, x, `${unit} since the call`),
    seats.map((seat, row) => {
      const top = frame.top + pitch * row + (narrow ? 18 : 6);
      const name = seat === threads ? 'caller' : `worker ${seat + 1}`;
      return [
        narrow
          ? text(name, frame.left, top - 4, 'start', 'row')
          : text(name, frame.left - 8, top + boxHeight / 2 + 4, 'end', 'row'),
        tiles
          .filter((span) => span.seat === seat)
          .map(({ step, tile, startNs, endNs }) => {
            const kernel = steps[step]?.kernel ?? '';
            const left = x.at(startNs / unitNs);
            return element(
              'rect',
              {
                class: `tile ${colourOf(kernels.indexOf(kernel))}`,
                x: left,
                y: top,
                width: Math.max(0.4, x.at(endNs / unitNs) - left),
                height: boxHeight,
              },
              element(
                'title',
                {},
                `step ${step + 1}, ${kernel}, tile ${tile + 1}: ${formatMs((endNs - startNs) / 1e6)}`,
              ),
            );
          }),
      ];
    }),
  );
}
