// A report as text for people: a table for each suite, in 80 columns. Measures nothing.
import { formatBytes, formatMs, formatNumber, formatShare, formatSpeedup } from '../../src/base/number-text.js';
import type { Roofline } from '../../src/hardware/roofline.js';
import type { AllocationRow } from '../suites/allocations.js';
import type { HttpRow } from '../suites/http/http.js';
import type { LatencyRow } from '../suites/latency.js';
import type { ModelRow } from '../suites/model.js';
import type { LoadRow } from '../suites/model-load.js';
import type { ModelPeerRow, ModelPeersReport } from '../suites/model-peers.js';
import type { ModelProfile, ModelProfileRow } from '../suites/model-profile.js';
import type { BenchReport, SuiteReport } from '../suites/run-suites.js';
import type { ThroughputRow } from '../suites/throughput.js';
import { renderManyCores } from './many-cores-text.js';
import { renderServing } from './serving-text.js';
import { type Column, left, renderTable, right } from './table.js';

const rooflineColumns: Column<Roofline>[] = [
  right('workers', (row) => String(row.workers)),
  left('by', (row) => row.isa),
  right('FMA GFLOPS', (row) => formatNumber(row.fmaGflops)),
  right('int8 GMAC/s', (row) => formatNumber(row.dotGmacs)),
  right('read GB/s', (row) => formatNumber(row.readGBs)),
];

const throughputColumns: Column<ThroughputRow>[] = [
  left('shape', (row) => row.name),
  right('workers', (row) => String(row.workers)),
  right('median', (row) => formatMs(row.medianMs)),
  right('GFLOPS', (row) => formatNumber(row.gflops)),
  right('of peak', (row) => formatShare(row.peakShare)),
  right('of read', (row) => formatShare(row.readShare)),
  right('speed-up', (row) => formatSpeedup(row.speedup)),
];

const allocationColumns: Column<AllocationRow>[] = [
  left('1,000 calls of', (row) => row.name),
  right('heap/call', (row) => formatBytes(row.heapBytesPerCall)),
  right('kept', (row) => formatBytes(row.heapKeptBytesPerCall)),
  right('pool', (row) => formatBytes(row.poolGrowthBytes)),
  right('rented', (row) => formatBytes(row.rentedGrowthBytes)),
  right('RSS', (row) => formatBytes(row.rssGrowthBytes)),
  right('minor', (row) => String(row.minorGcs)),
  right('major GCs', (row) => String(row.majorGcs)),
];

const latencyColumns: Column<LatencyRow>[] = [
  left('', (row) => row.name),
  right('median', (row) => `${formatNumber(row.median)} ${row.unit}`),
  right('p99', (row) => `${formatNumber(row.p99)} ${row.unit}`),
  right('max', (row) => `${formatNumber(row.max)} ${row.unit}`),
  left('limit', ({ limit, unit }) => (limit === null ? '' : `${limit.statistic} < ${limit.below} ${unit}`)),
  left('', ({ holds }) => (holds === null ? '' : holds ? 'holds' : 'exceeded')),
];

const modelColumns: Column<ModelRow>[] = [
  left('phase', (row) => row.phase),
  right('tokens', (row) => String(row.tokens)),
  right('workers', (row) => String(row.workers)),
  right('median', (row) => formatMs(row.medianMs)),
  right('tokens/s', (row) => formatNumber(row.tokensPerSecond)),
  right('of peak', (row) => formatShare(row.peakShare)),
  right('of int8 peak', (row) => formatShare(row.dotShare)),
  right('of read', (row) => formatShare(row.readShare)),
  right('speed-up', (row) => formatSpeedup(row.speedup)),
];

const loadColumns: Column<LoadRow>[] = [
  left('load from', (row) => row.from),
  right('weights', (row) => formatBytes(row.weightBytes)),
  right('mapped', (row) => formatBytes(row.mappedBytes)),
  right('median', (row) => formatMs(row.medianMs)),
];

const httpColumns: Column<HttpRow>[] = [
  right('clients', (row) => String(row.clients)),
  right('requests/s', (row) => formatNumber(row.http.requestsPerSecond)),
  right('direct', (row) => formatNumber(row.direct.requestsPerSecond)),
  right('ratio', (row) => formatSpeedup(row.ratio)),
  right('first', (row) => formatMs(row.http.firstMs.p50)),
  right('p99', (row) => formatMs(row.http.firstMs.p99)),
  right('direct', (row) => formatMs(row.direct.firstMs.p50)),
  right('whole', (row) => formatMs(row.http.wholeMs.p50)),
  right('p99', (row) => formatMs(row.http.wholeMs.p99)),
  right('direct', (row) => formatMs(row.direct.wholeMs.p50)),
];

const peerColumns: Column<ModelPeerRow>[] = [
  left('phase', (row) => row.phase),
  right('tokens', (row) => String(row.tokens)),
  right('tokens/s', (row) => formatNumber(row.ours)),
  right('llama.cpp', (row) => formatNumber(row.plain)),
  right('with flash', (row) => formatNumber(row.flash)),
  right('ratio', (row) => formatSpeedup(row.ratio)),
  right('of peak', (row) => formatShare(row.peakShare)),
  right('of read', (row) => formatShare(row.readShare)),
  right("llama.cpp's", (row) => formatShare(row.peerReadShare)),
];

const profileColumns: Column<ModelProfileRow>[] = [
  left('op', (row) => row.kernel),
  right('steps', (row) => String(row.steps)),
  right('time', (row) => formatMs(row.ms)),
  right('share', (row) => formatShare(row.wallShare)),
  right('GFLOPS', (row) => (row.gflops === null ? '' : formatNumber(row.gflops))),
  right('of peak', (row) => formatShare(row.peakShare)),
  right('GB/s', (row) => (row.gbs === null ? '' : formatNumber(row.gbs))),
  right('of read', (row) => formatShare(row.readShare)),
];

/** The report as text. */
export function formatReport(report: BenchReport): string {
  const { machine, isa, roofline, suites } = report;
  const commit = machine.commit === null ? '' : `, commit ${machine.commit}`;
  const parts = [
    `${machine.cpu}, ${machine.cores} CPUs, ${isa} kernels\ntesserae ${machine.tesserae}${commit}, Node ${machine.node}\n`,
    ...(roofline.length > 0 ? [`probed peaks\n${renderTable(rooflineColumns, roofline, '  ')}`] : []),
    ...suites.map((suite) => `${suite.suite}\n${renderSuite(suite)}`),
  ];
  return parts.join('\n');
}

function renderSuite(report: SuiteReport): string {
  switch (report.suite) {
    case 'allocations':
      return renderTable(allocationColumns, report.rows, '  ') + legend(report.rows);
    case 'latency':
      return renderTable(latencyColumns, report.rows, '  ') + legend(report.rows);
    case 'model':
      return renderTable(modelColumns, report.rows, '  ') + renderLoads(report.loads ?? []);
    case 'model peers':
      return renderPeers(report);
    case 'model profile':
      return report.rows.map(renderProfile).join('\n');
    case 'many-cores':
      return renderManyCores(report);
    case 'http':
      return renderHttp(report.rows);
    case 'serving':
      return renderServing(report);
    default:
      return renderTable(throughputColumns, report.rows, '  ') + legend(firstOfEach(report.rows));
  }
}

function renderLoads(rows: readonly LoadRow[]): string {
  return rows.length === 0 ? '' : `\n${renderTable(loadColumns, rows, '  ')}`;
}

function renderProfile({ phase, tokens, model, rows, ms }: ModelProfile): string {
  const passes = {
    prefill: `prefill of ${tokens} tokens`,
    decode: `a token after ${tokens} tokens`,
    texts: `texts of ${tokens} tokens together`,
  };
  return `  ${model}: ${passes[phase]}, ${formatMs(ms)}\n${renderTable(profileColumns, rows, '  ')}`;
}

function renderHttp(rows: readonly HttpRow[]): string {
  const { model, workers, promptTokens, newTokens } = rows[0] as HttpRow;
  const about = `${model.split('/').at(-1)}, ${workers} threads; streams of ${promptTokens} + ${newTokens} tokens`;
  return `  ${about}; ratio: rate over that of direct calls\n\n${renderTable(httpColumns, rows, '  ')}`;
}

function renderPeers({ model, workers, about, difference, rows, memory, fileBytes }: ModelPeersReport): string {
  const ofFile = (bytes: number) =>
    `${formatBytes(bytes)} (${(bytes / fileBytes).toFixed(2)} × the weights in the file)`;
  return [
    `  ${model}, ${workers} threads each\n  ${about}\n\n`,
    renderTable(peerColumns, rows, '  '),
    `\n  resident after a first generation: ${ofFile(memory.ours)}; llama.cpp ${ofFile(memory.llama)}\n`,
    `  logits differ by ${difference.toExponential(1)} (normalised mean square)\n`,
  ].join('');
}

/** What each name of a table means. */
function legend(rows: readonly { readonly name: string; readonly what?: string; readonly shape?: string }[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  return `\n${rows.map(({ name, what, shape }) => `  ${name.padEnd(width)}  ${what ?? shape ?? ''}\n`).join('')}`;
}

function firstOfEach<Row extends { readonly name: string }>(rows: readonly Row[]): Row[] {
  return rows.filter((row, index) => rows.findIndex(({ name }) => name === row.name) === index);
}
