// The suite serving as text: throughput, latency, and what is asked. Measures nothing.
import { formatMs, formatNumber, formatSpeedup } from '../../src/base/number-text.js';
import type { ServingPoint, ServingReport, ServingRow, ServingUnit } from '../suites/serving/serving-report.js';
import { type Column, left, renderTable, right } from './table.js';

const orNone = <T>(value: T | undefined, text: (value: T) => string): string =>
  value === undefined ? '' : text(value);

const throughputColumns: Column<ServingPoint>[] = [
  left('type', (row) => row.type),
  right('at once', (row) => String(row.concurrency)),
  right('tokens/s', (row) => formatNumber(row.tokensPerSecond)),
  right('one by one', (row) => formatNumber(row.oneByOne)),
  right('ratio', (row) => formatSpeedup(row.ratio)),
  right('llama.cpp', ({ peer }) => orNone(peer?.tokensPerSecond, formatNumber)),
  right('ratio', ({ peer }) => orNone(peer?.ratio, formatSpeedup)),
];

const latencyColumns: Column<ServingPoint>[] = [
  left('type', (row) => row.type),
  right('at once', (row) => String(row.concurrency)),
  right('first token', (row) => formatMs(row.firstMs.p50)),
  right('p99', (row) => formatMs(row.firstMs.p99)),
  right('between', (row) => formatMs(row.betweenMs.p50)),
  right('p99', (row) => formatMs(row.betweenMs.p99)),
  right('llama.cpp', ({ peer }) => orNone(peer?.betweenMs.p50, formatMs)),
  right('p99', ({ peer }) => orNone(peer?.betweenMs.p99, formatMs)),
];

const rowColumns: Column<ServingRow>[] = [
  left('', (row) => row.name),
  right('value', (row) => formatFigure(row.value, row.unit)),
  left('asked', ({ target, unit }) => (target === null ? '' : `${target.bound} ${formatFigure(target.value, unit)}`)),
  left('', ({ holds }) => (holds === null ? '' : holds ? 'holds' : 'missed')),
];

/** A figure of a row with its unit: `4.32×`, `41.2 ms`, `2 steps`. */
export function formatFigure(value: number, unit: ServingUnit): string {
  return unit === '×' ? formatSpeedup(value) : `${formatNumber(value)} ${unit}`;
}

/** What was served, and who else was measured. */
export function describeServing({ model, workers, peer }: ServingReport): string[] {
  const [first] = 'about' in peer ? peer.about.split(', ') : [peer.missing];
  return [`${model.split('/').at(-1)}, ${workers} threads each`, first as string];
}

export function renderServing(report: ServingReport): string {
  const { points, rows } = report;
  const [first] = points;
  const width = Math.max(...rows.map(({ name }) => name.length));
  const requests =
    first === undefined ? '' : `, prompts of ${first.promptTokens} tokens and ${first.newTokens} new ones`;
  return [
    ...describeServing(report).map((line) => `  ${line}\n`),
    `\n  requests at once${requests}; one by one: the same, one after the other\n`,
    renderTable(throughputColumns, points, '  '),
    '\n  the time to the first token, and between two tokens of a request\n',
    renderTable(latencyColumns, points, '  '),
    '\n',
    renderTable(rowColumns, rows, '  '),
    `\n${rows.map(({ name, what, detail }) => `  ${name.padEnd(width)}  ${what}; ${detail}\n`).join('')}`,
  ].join('');
}
