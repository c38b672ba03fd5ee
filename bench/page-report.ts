// Everything that the HTML page shows, measured in one run: all suites but the allocations, and a program's time-line.
import { BenchContext, type BenchOptions } from './context.js';
import { benchLatency } from './latency.js';
import { benchModel } from './model.js';
import type { BenchReport, SuiteReport } from './report.js';
import { benchAttention, benchMatmul, benchScaling } from './throughput.js';
import { recordTimeline, type Timeline } from './timeline.js';

export interface PageReport {
  readonly report: BenchReport;
  readonly timeline: Timeline;
}

export async function runForPage(options: BenchOptions = {}): Promise<PageReport> {
  await using context = await BenchContext.open(options);
  const suites: SuiteReport[] = [
    { suite: 'matmul', rows: await benchMatmul(context) },
    { suite: 'attention', rows: await benchAttention(context) },
    { suite: 'scaling', rows: await scale(context, options) },
    { suite: 'latency', rows: await benchLatency(context) },
    { suite: 'model', rows: await benchModel(context) },
  ];
  const timeline = await recordTimeline(context);
  const { machine, origin, rooflines } = context;
  return { report: { machine, isa: origin.isa, roofline: rooflines, suites }, timeline };
}

/** On every worker count: with two workers at most those are at hand. */
async function scale(context: BenchContext, options: BenchOptions) {
  if (context.widest.threads <= 2) return benchScaling(context);
  await using every = await BenchContext.open({ ...options, everyCount: true });
  return benchScaling(every);
}
