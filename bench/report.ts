// A run of suites as one document, and the same as text for people.

import { formatBytes, formatMs, formatNumber, formatShare, formatSpeedup } from '../src/base/number-text.js';
import type { Machine } from '../src/hardware/machine.js';
import type { Roofline } from '../src/hardware/roofline.js';
import { type AllocationRow, benchAllocations } from './allocations.js';
import { BenchContext, type BenchOptions } from './context.js';
import { benchLatency, type LatencyRow } from './latency.js';
import { benchModel, type ModelBenchOptions, type ModelRow } from './model.js';
import { benchModelPeers, type ModelPeerRow, type ModelPeersReport } from './model-peers.js';
import { type ModelProfile, type ModelProfileRow, profileModel } from './model-profile.js';
import { type Column, renderTable } from './table.js';
import { benchAttention, benchMatmul, benchScaling, type ThroughputRow } from './throughput.js';

export const suiteNames = ['matmul', 'attention', 'scaling', 'allocations', 'latency', 'model'] as const;
export type SuiteName = (typeof suiteNames)[number];

export interface SuiteOptions extends BenchOptions {
  /** For matmul, attention and scaling: these shapes instead of the suite's own choice. */
  readonly shapes?: readonly string[] | undefined;
  /** For the suite model. */
  readonly model?: ModelBenchOptions | undefined;
  /** For the suite model: beside llama.cpp, instead of on several worker counts. */
  readonly peers?: boolean | undefined;
  /** For the suite model: what its forward passes spend their time on, op by op. */
  readonly profile?: boolean | undefined;
}

export type SuiteReport =
  | { readonly suite: 'matmul' | 'attention' | 'scaling'; readonly rows: readonly ThroughputRow[] }
  | { readonly suite: 'allocations'; readonly rows: readonly AllocationRow[] }
  | { readonly suite: 'latency'; readonly rows: readonly LatencyRow[] }
  | { readonly suite: 'model'; readonly rows: readonly ModelRow[] }
  | ({ readonly suite: 'model peers' } & ModelPeersReport)
  | { readonly suite: 'model profile'; readonly rows: readonly ModelProfile[] };

export interface BenchReport {
  readonly machine: Machine;
  readonly isa: string;
  /** The probed peaks of each worker count; empty where no row is a share of them. */
  readonly roofline: readonly Roofline[];
  readonly suites: readonly SuiteReport[];
}

export async function runSuite(suite: SuiteName, options: SuiteOptions = {}): Promise<BenchReport> {
  // Nothing is a share of the peaks in the other two.
  const probe = suite !== 'allocations' && suite !== 'latency';
  await using context = await BenchContext.open({ ...options, probe, everyCount: suite === 'scaling' });
  return reportOf(context, [await reportSuite(context, suite, options)]);
}

/** Some of each of the suites that take long, for a first look. */
export async function runSelection(options: BenchOptions = {}): Promise<BenchReport> {
  await using context = await BenchContext.open(options);
  return reportOf(context, [
    {
      suite: 'matmul',
      rows: await benchMatmul(context, ['square_256', 'square_512', 'square_1024', 'ffn_up', 'gemv']),
    },
    { suite: 'attention', rows: await benchAttention(context, ['attention_512', 'attention_prefill']) },
    {
      suite: 'latency',
      rows: await benchLatency(context, ['dispatch_warm', 'call_inline', 'replay_200_shared', 'abort_matmul_4096']),
    },
    { suite: 'model', rows: await benchModel(context) },
  ]);
}

async function reportSuite(context: BenchContext, suite: SuiteName, options: SuiteOptions): Promise<SuiteReport> {
  switch (suite) {
    case 'matmul':
      return { suite, rows: await benchMatmul(context, options.shapes) };
    case 'attention':
      return { suite, rows: await benchAttention(context, options.shapes) };
    case 'scaling':
      return { suite, rows: await benchScaling(context, options.shapes) };
    case 'allocations':
      return { suite, rows: await benchAllocations(context) };
    case 'latency':
      return { suite, rows: await benchLatency(context) };
    case 'model':
      if (options.profile === true) return { suite: 'model profile', rows: await profileModel(context, options.model) };
      if (options.peers === true) return { suite: 'model peers', ...(await benchModelPeers(context, options.model)) };
      return { suite, rows: await benchModel(context, options.model) };
  }
}

function reportOf(context: BenchContext, suites: readonly SuiteReport[]): BenchReport {
  return { machine: context.machine, isa: context.origin.isa, roofline: context.rooflines, suites };
}

const left = <Row>(title: string, cell: (row: Row) => string): Column<Row> => ({ title, align: 'left', cell });
const right = <Row>(title: string, cell: (row: Row) => string): Column<Row> => ({ title, align: 'right', cell });

const rooflineColumns: Column<Roofline>[] = [
  right('workers', (row) => String(row.workers)),
  left('by', (row) => row.isa),
  right('FMA GFLOPS', (row) => formatNumber(row.fmaGflops)),
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
  right('of read', (row) => formatShare(row.readShare)),
  right('speed-up', (row) => formatSpeedup(row.speedup)),
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

/** The report for people. */
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
      return renderTable(modelColumns, report.rows, '  ');
    case 'model peers':
      return renderPeers(report);
    case 'model profile':
      return report.rows.map(renderProfile).join('\n');
    default:
      return renderTable(throughputColumns, report.rows, '  ') + legend(firstOfEach(report.rows));
  }
}

function renderProfile({ phase, tokens, model, rows, ms }: ModelProfile): string {
  const what = phase === 'prefill' ? `prefill of ${tokens} tokens` : `a token after ${tokens} tokens`;
  return `  ${model}: ${what}, ${formatMs(ms)}\n${renderTable(profileColumns, rows, '  ')}`;
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

/** What the names of a table stand for. */
function legend(rows: readonly { readonly name: string; readonly what?: string; readonly shape?: string }[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  return `\n${rows.map(({ name, what, shape }) => `  ${name.padEnd(width)}  ${what ?? shape ?? ''}\n`).join('')}`;
}

function firstOfEach<Row extends { readonly name: string }>(rows: readonly Row[]): Row[] {
  return rows.filter((row, index) => rows.findIndex(({ name }) => name === row.name) === index);
}
