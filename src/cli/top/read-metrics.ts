// Reads the metrics of a server from Prometheus' text, and makes figures of one or two samples. Pure; used by `tesserae top`.

interface Value {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The values of a text by the names of their metrics. */
export type Metrics = ReadonlyMap<string, readonly Value[]>;

const line = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/;
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Takes what it understands, and leaves out the rest: other metrics than ours may be there. */
export function readMetrics(text: string): Metrics {
  const metrics = new Map<string, Value[]>();
  for (const [, name = '', labels = '', number = ''] of text.split('\n').map((row) => line.exec(row) ?? [])) {
    const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
    if (!name.startsWith('tesserae_') || Number.isNaN(value)) continue;
    const pairs = [...labels.matchAll(label)].map(([, key = '', quoted = '']) => [key, unescaped(quoted)]);
    const values = metrics.get(name) ?? [];
    values.push({ labels: Object.fromEntries(pairs) as Record<string, string>, value });
    metrics.set(name, values);
  }
  return metrics;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
}

/** A latency: how many values there were, and their quantiles, as exact as the buckets; null where there were none. */
export interface Latency {
  readonly count: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface Figures {
  /** The kernel set of the server. */
  readonly isa: string;
  readonly threads: number;
  readonly workers: number;
  readonly models: number;
  readonly requests: Readonly<Record<'queued' | 'running' | 'completed' | 'aborted' | 'failed', number>>;
  readonly tokens: Readonly<Record<string, number>>;
  readonly timeToFirstToken: Latency;
  readonly timeBetweenTokens: Latency;
  readonly queueWait: Latency;
  readonly eventLoopDelay: Latency;
  readonly steps: number;
  readonly rowsPerStep: number | null;
  readonly pages: Readonly<Record<string, number>>;
  readonly poolBytes: Readonly<Record<string, number>>;
  readonly prefixHits: number;
  readonly preemptions: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly expectedWaitMs: number;
}

/** The figures of a server since it began; its gauges as they are. */
export function figuresOf(metrics: Metrics): Figures {
  const sum = (name: string, wanted: Readonly<Record<string, string>> = {}) => total(metrics, name, wanted);
  const outcome = (name: string) => sum('tesserae_requests_total', { outcome: name });
  const steps = sum('tesserae_step_rows_count');
  return {
    isa: metrics.get('tesserae_info')?.[0]?.labels.isa ?? '',
    threads: sum('tesserae_team_threads'),
    workers: sum('tesserae_team_workers'),
    models: sum('tesserae_models'),
    requests: {
      queued: sum('tesserae_requests', { state: 'queued' }),
      running: sum('tesserae_requests', { state: 'running' }),
      completed: outcome('completed'),
      aborted: outcome('aborted'),
      failed: outcome('failed'),
    },
    tokens: by(metrics, 'tesserae_tokens_total', 'kind'),
    timeToFirstToken: latencyOf(metrics, 'tesserae_time_to_first_token_seconds'),
    timeBetweenTokens: latencyOf(metrics, 'tesserae_time_between_tokens_seconds'),
    queueWait: latencyOf(metrics, 'tesserae_queue_wait_seconds'),
    eventLoopDelay: latencyOf(metrics, 'tesserae_event_loop_delay_seconds'),
    steps,
    rowsPerStep: steps === 0 ? null : sum('tesserae_step_rows_sum') / steps,
    pages: by(metrics, 'tesserae_pages', 'state'),
    poolBytes: by(metrics, 'tesserae_pool_bytes', 'state'),
    prefixHits: sum('tesserae_prefix_hits_total'),
    preemptions: sum('tesserae_preemptions_total'),
    errors: by(metrics, 'tesserae_errors_total', 'code'),
    expectedWaitMs: 1000 * sum('tesserae_expected_wait_seconds'),
  };
}

const cumulative = /_(total|bucket|sum|count)$/;

/** What came between two samples: counters less what they were before, gauges as they are. A restarted server begins anew. */
export function since(before: Metrics, now: Metrics): Metrics {
  const metrics = new Map<string, Value[]>();
  for (const [name, values] of now) {
    const earlier = new Map((before.get(name) ?? []).map(({ labels, value }) => [JSON.stringify(labels), value]));
    const difference = values.map(({ labels, value }) => {
      const old = earlier.get(JSON.stringify(labels)) ?? 0;
      return { labels, value: cumulative.test(name) && value >= old ? value - old : value };
    });
    metrics.set(name, difference);
  }
  return metrics;
}

function total(metrics: Metrics, name: string, wanted: Readonly<Record<string, string>>): number {
  const matching = (metrics.get(name) ?? []).filter(({ labels }) =>
    Object.entries(wanted).every(([key, text]) => labels[key] === text),
  );
  return matching.reduce((sum, { value }) => sum + value, 0);
}

/** Of all models together. */
function by(metrics: Metrics, name: string, key: string): Record<string, number> {
  const sums = new Map<string, number>();
  for (const { labels, value } of metrics.get(name) ?? []) {
    const member = labels[key] ?? '';
    sums.set(member, (sums.get(member) ?? 0) + value);
  }
  return Object.fromEntries(sums);
}

/** Of all series of a histogram together. */
function latencyOf(metrics: Metrics, name: string): Latency {
  const buckets = new Map<number, number>();
  for (const { labels, value } of metrics.get(`${name}_bucket`) ?? []) {
    const bound = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le);
    buckets.set(bound, (buckets.get(bound) ?? 0) + value);
  }
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const count = sorted.at(-1)?.[1] ?? 0;
  return { count, p50Ms: quantileMs(sorted, 0.5 * count), p99Ms: quantileMs(sorted, 0.99 * count) };
}

/** Between the bounds of the bucket that it falls into; above the last bound, that. */
function quantileMs(buckets: readonly (readonly [bound: number, count: number])[], rank: number): number | null {
  if (rank === 0) return null;
  let [lower, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank) {
      const share = Number.isFinite(bound) ? (rank - below) / (count - below) : 0;
      return 1000 * (lower + (Number.isFinite(bound) ? share * (bound - lower) : 0));
    }
    [lower, below] = [bound, count];
  }
  return 1000 * lower;
}
