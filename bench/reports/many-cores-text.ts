// The suite many-cores as text: a table, and what its figures rest on. Measures nothing.
import { formatMs, formatNumber, formatSpeedup } from '../../src/base/number-text.js';
import type { ManyCoresReport, ManyCoresRow } from '../suites/many-cores/many-cores.js';
import { type Column, left, renderTable, right } from './table.js';

const columns: Column<ManyCoresRow>[] = [
  left('work', (row) => row.work),
  right('workers', (row) => String(row.workers)),
  right('predicted', (row) => formatMs(row.predictedMs)),
  right('measured', (row) => (row.measuredMs === null ? '' : formatMs(row.measuredMs))),
  right('main thread', (row) => formatMs(row.serialMs)),
  right('speed-up', (row) => formatSpeedup(row.speedup)),
  right('in caches', (row) => formatSpeedup(row.speedupInCaches)),
  left('bound by', (row) => row.bound),
];

export function renderManyCores({ model, measuredWorkers, costs, rows }: ManyCoresReport): string {
  const { handOverNs, claimNs, readBytesPerNs } = costs;
  return [
    `  PREDICTED, NOT MEASURED, beyond ${measuredWorkers} workers, which is what this machine has.\n`,
    `  ${model.split('/').at(-1)}; tiles as they are cut for as many workers, each timed alone on one core, its shortest time;\n`,
    `  costs measured with ${measuredWorkers} workers: hand-over ${formatNumber(handOverNs / 1000)} µs, claim `,
    `${formatNumber(claimNs)} ns, memory ${formatNumber(readBytesPerNs)} GB/s for all cores together\n\n`,
    renderTable(columns, rows, '  '),
    '\n  main thread: the part of the predicted time in which no tile is computed, as measured\n',
    '  measured: the shortest of 11 runs\n',
    '  in caches: the speed-up if memory were as fast as all cores together ask for\n',
    '  bound by: that without which the time would be shortest; the cores, if nothing else gains 5 %\n',
    '  32 rows: the products of a batch of 32 sequences; the attention is that of one sequence\n',
  ].join('');
}
