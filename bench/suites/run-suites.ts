// Runs suites and puts their rows into one document: a suite alone, a selection of the suites, or everything that the
// HTML page shows. Called by `tesserae bench`. Formats nothing.
import type { Machine } from '../../src/hardware/machine.js';
import type { Roofline } from '../../src/hardware/roofline.js';
import { BenchContext, type BenchOptions } from '../measuring/context.js';
import { type AllocationRow, benchAllocations } from './allocations.js';
import { benchHttp, type HttpBenchOptions, type HttpRow, httpRounds } from './http/http.js';
import { benchLatency, type LatencyRow } from './latency.js';
import { benchManyCores, type ManyCoresReport } from './many-cores/many-cores.js';
import { benchModel, type ModelBenchOptions, type ModelRow } from './model.js';
import { benchLoads, type LoadRow } from './model-load.js';
import { benchModelPeers, type ModelPeersReport } from './model-peers.js';
import { type ModelProfile, profileModel } from './model-profile.js';
import { benchServing, type ServingBenchOptions, servingRounds } from './serving/serving.js';
import type { ServingReport } from './serving/serving-report.js';
import type { SuiteName } from './suite-names.js';
import { benchAttention, benchMatmul, benchScaling, type ThroughputRow } from './throughput.js';
import { recordTimeline, type Timeline } from './timeline.js';

export interface SuiteOptions extends BenchOptions {
  /** For matmul, attention and scaling: these shapes instead of the suite's own choice. */
  readonly shapes?: readonly string[] | undefined;
  /** For the suites model and many-cores. */
  readonly model?: ModelBenchOptions | undefined;
  /** For the suite serving, which needs it. */
  readonly serving?: ServingBenchOptions | undefined;
  /** For the suite http. */
  readonly http?: HttpBenchOptions | undefined;
  /** For the suite model: compare with llama.cpp, instead of several worker counts. */
  readonly peers?: boolean | undefined;
  /** For the suite model: the time of each op, instead of tokens per second. */
  readonly profile?: boolean | undefined;
}

export type SuiteReport =
  | { readonly suite: 'matmul' | 'attention' | 'scaling'; readonly rows: readonly ThroughputRow[] }
  | { readonly suite: 'allocations'; readonly rows: readonly AllocationRow[] }
  | { readonly suite: 'latency'; readonly rows: readonly LatencyRow[] }
  | { readonly suite: 'model'; readonly rows: readonly ModelRow[]; readonly loads?: readonly LoadRow[] }
  | ({ readonly suite: 'model peers' } & ModelPeersReport)
  | { readonly suite: 'model profile'; readonly rows: readonly ModelProfile[] }
  | ({ readonly suite: 'serving' } & ServingReport)
  | ({ readonly suite: 'many-cores' } & ManyCoresReport)
  | { readonly suite: 'http'; readonly rows: readonly HttpRow[] };

export interface BenchReport {
  readonly machine: Machine;
  readonly isa: string;
  /** The probed peaks of each worker count; empty where no row is a share of them. */
  readonly roofline: readonly Roofline[];
  readonly suites: readonly SuiteReport[];
}

/** Runs one suite. */
export async function runSuite(suite: SuiteName, options: SuiteOptions = {}): Promise<BenchReport> {
  // The rows of these suites are no shares of a peak.
  const probe = !['allocations', 'latency', 'http'].includes(suite);
  const rounds =
    options.rounds ??
    (suite === 'serving' ? servingRounds(options.serving ?? {}) : suite === 'http' ? httpRounds : undefined);
  await using context = await BenchContext.open({ ...options, rounds, probe, everyCount: suite === 'scaling' });
  return reportOf(context, [await reportSuite(context, suite, options)]);
}

/** A few rows of several suites, for a first look. */
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
      return {
        suite,
        rows: await benchModel(context, options.model),
        loads: await benchLoads(context, options.model),
      };
    case 'many-cores':
      return { suite, ...(await benchManyCores(context, options.model)) };
    case 'http':
      return { suite, rows: await benchHttp(context, options.http) };
    case 'serving':
      return { suite, ...(await benchServing(context, options.serving as ServingBenchOptions)) };
  }
}

function reportOf(context: BenchContext, suites: readonly SuiteReport[]): BenchReport {
  return { machine: context.machine, isa: context.origin.isa, roofline: context.rooflines, suites };
}

/** Everything that the HTML page shows. */
export interface PageReport {
  readonly report: BenchReport;
  readonly timeline: Timeline;
}

/** Runs all suites but allocations, and profiles a transformer layer. */
export async function runForPage(
  options: BenchOptions & { readonly serving: ServingBenchOptions },
): Promise<PageReport> {
  await using context = await BenchContext.open(options);
  const suites: SuiteReport[] = [
    { suite: 'matmul', rows: await benchMatmul(context) },
    { suite: 'attention', rows: await benchAttention(context) },
    { suite: 'scaling', rows: await scale(context, options) },
    { suite: 'latency', rows: await benchLatency(context) },
    { suite: 'model', rows: await benchModel(context) },
    { suite: 'serving', ...(await benchServing(context, options.serving)) },
  ];
  const timeline = await recordTimeline(context);
  const { machine, origin, rooflines } = context;
  return { report: { machine, isa: origin.isa, roofline: rooflines, suites }, timeline };
}

/** On every worker count. A context of at most two workers has every count already. */
async function scale(context: BenchContext, options: BenchOptions) {
  if (context.widest.threads <= 2) return benchScaling(context);
  await using every = await BenchContext.open({ ...options, everyCount: true });
  return benchScaling(every);
}
