// The chapter on scaling: the speed-up over one worker, with a row of marks for each shape. The mark of n workers is on
// the line of n when the speed-up is ideal.
import { formatMs, formatSpeedup } from '../../../../src/base/number-text.js';
import type { ThroughputRow } from '../../../suites/throughput.js';
import { table } from '../drawing/html-table.js';
import { isNarrow, type Markup, twoWidths } from '../drawing/markup.js';
import { drawing, frameOf, legend, line, mark, text, xAxis } from '../drawing/plot.js';
import { linearScale } from '../drawing/scale.js';
import type { Chapter, ReportData } from '../page-data.js';
import { rowsOf } from '../page-data.js';

interface Shape {
  readonly name: string;
  readonly shape: string;
  readonly rows: readonly ThroughputRow[];
}

export function scalingChapter({ report }: ReportData): Chapter | undefined {
  const rows = rowsOf(report, 'scaling');
  const counts = [...new Set(rows.map(({ workers }) => workers))].sort((a, b) => a - b);
  const most = counts.at(-1);
  if (most === undefined || most === 1) return undefined;
  const names = [...new Set(rows.map(({ name }) => name))];
  const shapes = names.map((name) => {
    const own = rows.filter((row) => row.name === name);
    return { name, shape: own[0]?.shape ?? '', rows: own };
  });
  return {
    id: 'scaling',
    title: 'Speed-up against workers',
    intro: 'The time of one worker over the time of n, for the same product with the same bits. Ideal: n times.',
    body: [
      legend(
        counts.map((count, index) => ({
          index,
          label: count === 1 ? '1 worker' : `${count} workers`,
          kind: 'mark',
          style: 'none',
        })),
      ),
      ...twoWidths((width) => draw(width, shapes, counts)),
      table(
        [
          { title: 'shape', cell: ({ name }) => name, isText: true },
          { title: 'sizes', cell: ({ shape }) => shape, isText: true },
          ...counts.map((count) => ({
            title: count === 1 ? '1 worker' : `${count} workers`,
            cell: (shape: Shape) => {
              const row = shape.rows.find(({ workers }) => workers === count);
              if (row === undefined) return '';
              return count === 1 ? formatMs(row.medianMs) : `${formatMs(row.medianMs)}, ${formatSpeedup(row.speedup)}`;
            },
          })),
        ],
        shapes,
        'The median time, and the speed-up over one worker.',
      ),
    ],
  };
}

const rowHeight = 30;

function draw(width: number, shapes: readonly Shape[], counts: readonly number[]): Markup {
  const most = counts.at(-1) as number;
  // On a phone the name is above its row, else to the left of it.
  const narrow = isNarrow(width);
  const pitch = narrow ? rowHeight + 12 : rowHeight;
  const frame = { ...frameOf(width, 26 + 42 + pitch * shapes.length, narrow ? 12 : 150), right: 24 };
  const end = Math.max(most, ...shapes.flatMap(({ rows }) => rows.map(({ speedup }) => speedup))) * 1.03;
  const x = linearScale(
    { from: 0, to: end, start: frame.left, end: width - frame.right },
    Math.max(4, Math.min(most, 8)),
  );
  const base = frame.height - frame.bottom;
  return drawing(
    frame,
    'Speed-up over one worker',
    xAxis(frame, x, 'times as fast as one worker'),
    counts.map((count) => [
      line('ideal', [x.at(count), frame.top], [x.at(count), base]),
      text(`ideal, ${count}`, x.at(count) - 4, 16, 'end', 'note'),
    ]),
    shapes.map(({ name, rows }, index) => {
      const y = frame.top + pitch * (index + 0.5) + (narrow ? 8 : 0);
      const last = rows.find(({ workers }) => workers === most)?.speedup ?? 1;
      const longest = Math.max(...rows.map(({ speedup }) => speedup));
      return [
        narrow ? text(name, frame.left, y - 12, 'start', 'row') : text(name, frame.left - 8, y + 4, 'end', 'row'),
        line('stem', [x.at(0), y], [x.at(longest), y]),
        rows.map((row) =>
          mark(
            counts.indexOf(row.workers),
            [x.at(row.speedup), y],
            `${name}, ${row.workers} workers: ${formatSpeedup(row.speedup)}`,
          ),
        ),
        text(formatSpeedup(last), x.at(last) - 10, y - 5, 'end', 'number'),
      ];
    }),
  );
}
