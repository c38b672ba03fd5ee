// The chapter on serving: tokens a second, and the times that one request waits, against the number of requests at once; and
// the figures of which something is asked.
import { formatMs, formatNumber, formatSpeedup } from '../../../../src/base/number-text.js';
import type { ServingPoint, ServingReport } from '../../../suites/serving/serving-report.js';
import { describeServing, formatFigure } from '../../serving-text.js';
import { type HtmlColumn, table } from '../drawing/html-table.js';
import { element, isNarrow, type Markup, twoWidths } from '../drawing/markup.js';
import { colourOf, drawing, frameOf, legend, mark, polyline, xAxis, yAxis } from '../drawing/plot.js';
import { linearScale, log2Scale, log10Scale, roundEnd, type Scale } from '../drawing/scale.js';
import type { Chapter, ReportData } from '../page-data.js';
import { ourName } from '../peers-document.js';

interface Series {
  readonly label: string;
  /** Chooses the colour. */
  readonly index: number;
  readonly points: readonly (readonly [concurrency: number, value: number])[];
}

interface Plot {
  readonly title: string;
  readonly yTitle: string;
  readonly yScale: (from: number, to: number, place: { readonly start: number; readonly end: number }) => Scale;
  readonly text: (value: number) => string;
  readonly series: readonly Series[];
}

export function servingChapter({ report }: ReportData): Chapter | undefined {
  const serving = report.suites.find(({ suite }) => suite === 'serving') as ServingReport | undefined;
  const [first] = serving?.points ?? [];
  if (serving === undefined || first === undefined) return undefined;
  // One type of weights is drawn; the tables have all.
  const drawn = serving.points.filter(({ type }) => type === first.type);
  const [model, peer] = describeServing(serving);
  return {
    id: 'serving',
    title: `Serving, ${first.type}`,
    intro:
      `Requests of ${first.promptTokens} tokens, each continued by ${first.newTokens}, that come at the same moment, without ` +
      'a prefix cache: from the first call to the last token of all. One by one: the same requests, one after the other.',
    notes: [
      `${model}; ${peer}`,
      'llama.cpp computes as many sequences in its batches, with our tokens: it chooses none and delivers none.',
    ],
    body: [
      ...plotOf(throughput(drawn)),
      ...plotOf(latency(drawn)),
      table(
        columns,
        serving.points,
        'Medians and 99th percentiles. The first token: of llama.cpp when all prompts are computed.',
      ),
      rowsTable(serving),
    ],
  };
}

const lineOf = (
  label: string,
  index: number,
  points: readonly ServingPoint[],
  value: (point: ServingPoint) => number | undefined,
): Series => ({
  label,
  index,
  points: points.flatMap((point) => {
    const own = value(point);
    return own === undefined ? [] : [[point.concurrency, own] as const];
  }),
});

function throughput(points: readonly ServingPoint[]): Plot {
  return {
    title: 'Tokens a second against the number of requests at once',
    yTitle: 'generated tokens a second; higher is better',
    yScale: (_, to, place) => linearScale({ from: 0, to: roundEnd(to * 1.04, 6), ...place }, 6),
    text: (value) => `${formatNumber(value)} tokens/s`,
    series: [
      lineOf(ourName, 0, points, ({ tokensPerSecond }) => tokensPerSecond),
      lineOf(`${ourName}, one by one`, 1, points, ({ oneByOne }) => oneByOne),
      lineOf('llama.cpp', 2, points, ({ peer }) => peer?.tokensPerSecond),
    ],
  };
}

function latency(points: readonly ServingPoint[]): Plot {
  return {
    title: 'Times of one request against the number of requests at once',
    yTitle: 'ms; lower is better',
    yScale: (from, to, place) => log10Scale({ from: from / 1.3, to: to * 1.3, ...place }, 10),
    text: formatMs,
    series: [
      lineOf('first token, median', 0, points, ({ firstMs }) => firstMs.p50),
      lineOf('first token, 99 %', 3, points, ({ firstMs }) => firstMs.p99),
      lineOf('between tokens, median', 1, points, ({ betweenMs }) => betweenMs.p50),
      lineOf('between tokens, 99 %', 4, points, ({ betweenMs }) => betweenMs.p99),
      lineOf('llama.cpp, between tokens, median', 2, points, ({ peer }) => peer?.betweenMs.p50),
    ],
  };
}

function plotOf(given: Plot): Markup[] {
  const plot = { ...given, series: given.series.filter(({ points }) => points.length > 0) };
  return [
    legend(plot.series.map(({ label, index }) => ({ index, label, kind: 'mark' }))),
    ...twoWidths((width) => draw(width, plot)),
  ];
}

function draw(width: number, { title, yTitle, yScale, text, series }: Plot): Markup {
  const frame = frameOf(width, isNarrow(width) ? 280 : 360);
  const { left, right, top, bottom, height } = frame;
  const counts = series.flatMap(({ points }) => points.map(([count]) => count));
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const [from, to] = [Math.min(...counts), Math.max(...counts)];
  const margin = from === to ? 2 : 1.15;
  const x = log2Scale({ from: from / margin, to: to * margin, start: left, end: width - right });
  const y = yScale(Math.min(...values), Math.max(...values), { start: height - bottom, end: top });
  const at = ([count, value]: readonly [number, number]) => [x.at(count), y.at(value)] as const;
  return drawing(
    frame,
    title,
    xAxis(frame, x, 'requests at once'),
    yAxis(frame, y, yTitle),
    // Ours is drawn last, over the others.
    series
      .map(({ label, index, points }) => {
        const sorted = [...points].sort(([a], [b]) => a - b);
        const marks = sorted.map((point) => mark(index, at(point), `${label}, ${point[0]} at once: ${text(point[1])}`));
        return element('g', {}, polyline(colourOf(index), sorted.map(at)), marks);
      })
      .reverse(),
  );
}

const columns: HtmlColumn<ServingPoint>[] = [
  { title: 'type', cell: ({ type }) => type, isText: true },
  { title: 'at once', cell: ({ concurrency }) => String(concurrency) },
  { title: 'tokens/s', cell: ({ tokensPerSecond }) => formatNumber(tokensPerSecond) },
  { title: 'one by one', cell: ({ oneByOne, ratio }) => `${formatNumber(oneByOne)} (${formatSpeedup(ratio)})` },
  {
    title: 'llama.cpp',
    cell: ({ peer }) => (peer === null ? '' : `${formatNumber(peer.tokensPerSecond)} (${formatSpeedup(peer.ratio)})`),
  },
  { title: 'first token', cell: ({ firstMs }) => `${formatMs(firstMs.p50)}, ${formatMs(firstMs.p99)}` },
  { title: 'llama.cpp', cell: ({ peer }) => (peer === null ? '' : formatMs(peer.prefillMs)) },
  { title: 'between tokens', cell: ({ betweenMs }) => `${formatMs(betweenMs.p50)}, ${formatMs(betweenMs.p99)}` },
  {
    title: 'llama.cpp',
    cell: ({ peer }) => (peer === null ? '' : `${formatMs(peer.betweenMs.p50)}, ${formatMs(peer.betweenMs.p99)}`),
  },
];

function rowsTable({ rows }: ServingReport): Markup {
  return table(
    [
      { title: 'figure', cell: ({ name }) => name, isText: true },
      { title: 'value', cell: ({ value, unit }) => formatFigure(value, unit) },
      {
        title: 'asked',
        cell: ({ target, unit }) => (target === null ? '' : `${target.bound} ${formatFigure(target.value, unit)}`),
        isText: true,
      },
      { title: '', cell: ({ holds }) => (holds === null ? '' : holds ? 'holds' : 'missed'), isText: true },
      { title: 'what', cell: ({ what, detail }) => `${what}; ${detail}`, isText: true },
    ],
    rows,
    'What is asked of serving, and what was measured.',
  );
}
