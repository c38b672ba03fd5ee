// The text of an engine's metrics: what was counted so far, and how things are at this moment. Called by the engine.
import { Exposition, type Labels, type Sample } from './exposition.js';
import type { Histogram } from './histogram.js';
import { type RequestKind, requestKinds, requestOutcomes, type ServingCounts } from './serving-counts.js';

/** How an engine is at one moment: the part of its statistics that is written. */
export interface EngineState {
  readonly isa: string;
  readonly threads: number;
  readonly models: number;
  readonly programs: number;
  readonly pool: {
    readonly budgetBytes: number;
    readonly rentedBytes: number;
    readonly idleBytes: number;
    readonly heldBytes: number;
  };
  readonly team: {
    readonly runs: { readonly finished: number; readonly failed: number; readonly aborted: number };
    readonly onShift: number;
    readonly workers: number;
    readonly workersLost: number;
    readonly workersReplaced: number;
  };
  readonly serving: {
    readonly queued: number;
    readonly running: number;
    readonly pagesUsed: number;
    readonly pagesCached: number;
    readonly pagesFree: number;
    readonly expectedWaitMs: number;
  };
}

export interface ServedSoFar {
  readonly prefixTokens: number;
  readonly preemptions: number;
  readonly recomputedTokens: number;
  readonly overheadMs: number;
}

/** What the models of one label have counted and done, those included that were disposed. */
export interface ModelSeries {
  readonly labels: { readonly model: string };
  readonly counts: ServingCounts;
  readonly served: ServedSoFar;
}

type AllSeries = readonly ModelSeries[];

export function metricsText(series: AllSeries, state: EngineState, loopDelay: Histogram): string {
  const text = new Exposition();
  writeLatencies(text, series);
  writeTraffic(text, series, state);
  writeSteps(text, series, state);
  writeMemory(text, state);
  writeTeam(text, state);
  const help = 'Delay of the event loop, measured since the first call of metrics()';
  text.histogram('tesserae_event_loop_delay_seconds', help, [{ values: loopDelay }]);
  return text.toString();
}

function writeLatencies(text: Exposition, series: AllSeries): void {
  const each = (of: (counts: ServingCounts) => Histogram) =>
    series.map(({ labels, counts }) => ({ labels, values: of(counts) }));
  const eachKind = (of: (counts: ServingCounts) => Readonly<Record<RequestKind, Histogram>>) =>
    series.flatMap(({ labels, counts }) =>
      requestKinds.map((kind) => ({ labels: { kind, ...labels }, values: of(counts)[kind] })),
    );
  text.histogram(
    'tesserae_time_to_first_token_seconds',
    'From the call to the first generated token',
    each((counts) => counts.timeToFirstToken),
  );
  text.histogram(
    'tesserae_time_between_tokens_seconds',
    'From a generated token to the next one of its request',
    each((counts) => counts.timeBetweenTokens),
  );
  text.histogram(
    'tesserae_queue_wait_seconds',
    'From the call to the first step that computes for the request',
    eachKind((counts) => counts.queueWait),
  );
  text.histogram(
    'tesserae_request_duration_seconds',
    'From the call to the end of the request',
    eachKind((counts) => counts.duration),
  );
}

function writeTraffic(text: Exposition, series: AllSeries, { serving }: EngineState): void {
  const ended = series.flatMap(({ labels, counts }) =>
    requestKinds.flatMap((kind) =>
      requestOutcomes.map((outcome) => ({
        labels: { kind, outcome, ...labels },
        value: counts.requests[kind][outcome],
      })),
    ),
  );
  text.counter('tesserae_requests_total', 'Requests that were queued and have ended', ended);
  text.counter(
    'tesserae_errors_total',
    'Requests that failed, by the code of their error, those included that were refused before they were queued',
    series.flatMap(({ labels, counts }) => labelled('code', Object.fromEntries(counts.errors), labels)),
  );
  text.counter(
    'tesserae_tokens_total',
    'Tokens: of prompts, generated, of embedded texts, found in the prefix cache, computed again after a preemption',
    series.flatMap(({ labels, counts, served }) => {
      const values = { ...counts.tokens, cached: served.prefixTokens, recomputed: served.recomputedTokens };
      return labelled('kind', values, labels);
    }),
  );
  text.counter(
    'tesserae_prefix_hits_total',
    'Requests whose prompt began like an earlier one',
    series.map(({ labels, counts }) => ({ labels, value: counts.prefixHits })),
  );
  text.counter(
    'tesserae_preemptions_total',
    'Requests whose memory was given to others for a while',
    series.map(({ labels, served }) => ({ labels, value: served.preemptions })),
  );
  const { queued, running, expectedWaitMs } = serving;
  text.gauge('tesserae_requests', 'Requests that wait, and that are computed', labelled('state', { queued, running }));
  text.gauge('tesserae_expected_wait_seconds', 'How long a request that comes now is expected to wait', [
    { value: expectedWaitMs / 1000 },
  ]);
}

function writeSteps(text: Exposition, series: AllSeries, { programs }: EngineState): void {
  text.histogram(
    'tesserae_step_rows',
    'Rows that a step computes',
    series.map(({ labels, counts }) => ({ labels, values: counts.stepRows })),
  );
  text.histogram(
    'tesserae_step_duration_seconds',
    'How long the programs of a step run',
    series.map(({ labels, counts }) => ({ labels, values: counts.stepTime })),
  );
  text.counter(
    'tesserae_step_overhead_seconds_total',
    'Time of the event loop for steps, beside their programs',
    series.map(({ labels, served }) => ({ labels, value: served.overheadMs / 1000 })),
  );
  text.counter('tesserae_programs_recorded_total', 'Programs that were recorded', [{ value: programs }]);
}

function writeMemory(text: Exposition, { pool, serving }: EngineState): void {
  const { pagesUsed, pagesCached, pagesFree } = serving;
  text.gauge(
    'tesserae_pages',
    'Pages of keys and values: of requests that run, kept for later prompts, and for which there is memory',
    labelled('state', { used: pagesUsed, cached: pagesCached, free: pagesFree }),
  );
  const { budgetBytes, rentedBytes, idleBytes, heldBytes } = pool;
  text.gauge(
    'tesserae_pool_bytes',
    'Shared memory: the budget, what is in use, what is kept idle, what is taken from the system',
    labelled('state', { budget: budgetBytes, rented: rentedBytes, idle: idleBytes, held: heldBytes }),
  );
}

function writeTeam(text: Exposition, { isa, threads, models, team }: EngineState): void {
  text.gauge('tesserae_info', 'The kernel set in use', [{ labels: { isa }, value: 1 }]);
  text.gauge('tesserae_models', 'Models that are loaded', [{ value: models }]);
  text.gauge('tesserae_team_threads', 'Worker threads that there should be', [{ value: threads }]);
  text.gauge('tesserae_team_workers', 'Worker threads that there are', [{ value: team.workers }]);
  text.gauge('tesserae_team_on_shift', 'Worker threads that compute or wait for the next program', [
    { value: team.onShift },
  ]);
  text.counter('tesserae_team_workers_lost_total', 'Worker threads that died, or did not start', [
    { value: team.workersLost },
  ]);
  text.counter('tesserae_team_workers_replaced_total', 'Worker threads that were started in place of lost ones', [
    { value: team.workersReplaced },
  ]);
  const { finished, failed, aborted } = team.runs;
  const runs = labelled('outcome', { finished, failed, aborted });
  text.counter('tesserae_team_runs_total', 'Runs of programs on the worker threads', runs);
}

function labelled(label: string, values: Readonly<Record<string, number>>, others: Labels = {}): Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name, ...others }, value }));
}
