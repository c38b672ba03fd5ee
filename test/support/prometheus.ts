// A strict reader of Prometheus' text format, version 0.0.4: it refuses what a scraper might only tolerate. Used by the tests of
// metrics.

export interface ReadMetric {
  readonly type: string;
  readonly help: string;
  /** By name and labels as they are written: `name{a="b"}`. */
  readonly samples: Map<string, number>;
}

const head = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([^{}]*)\})? (\S+)$/;
const label = /^[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"$/;

/** @throws Error for what is malformed, double or inconsistent */
export function readPrometheusText(text: string): Map<string, ReadMetric> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const metrics = new Map<string, { type: string; help: string; samples: Map<string, number> }>();
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const [, keyword, name = '', rest = ''] = head.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (metrics.has(name)) throw new Error(`${name} comes twice`);
      metrics.set(name, { type: '', help: rest, samples: new Map() });
      current = name;
      continue;
    }
    const metric = metrics.get(current);
    if (metric === undefined) throw new Error(`a line before any help: ${line}`);
    if (keyword === 'TYPE') {
      if (name !== current || metric.type !== '') throw new Error(`a type out of place: ${line}`);
      if (!['counter', 'gauge', 'histogram'].includes(rest)) throw new Error(`no type: ${line}`);
      metric.type = rest;
      continue;
    }
    readSample(line, current, metric);
  }
  for (const [name, metric] of metrics) if (metric.type === 'histogram') checkHistogram(name, metric);
  return metrics;
}

function readSample(line: string, current: string, { type, samples }: ReadMetric): void {
  const [, name = '', , labels, value = ''] = sample.exec(line) ?? [];
  const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
  if (!suffixes.some((suffix) => name === `${current}${suffix}`)) throw new Error(`a line out of place: ${line}`);
  if (type === 'counter' && !name.endsWith('_total')) throw new Error(`a counter without _total: ${line}`);
  for (const pair of labels?.split(/,(?=[a-zA-Z_])/) ?? []) if (!label.test(pair)) throw new Error(`labels: ${line}`);
  const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value);
  if (Number.isNaN(number) || (type !== 'gauge' && number < 0)) throw new Error(`value: ${line}`);
  const key = line.slice(0, line.lastIndexOf(' '));
  if (samples.has(key)) throw new Error(`twice: ${line}`);
  samples.set(key, number);
}

/** Buckets rise to `+Inf`, which is the count. */
function checkHistogram(name: string, { samples }: ReadMetric): void {
  let last = 0;
  let bound = Number.NEGATIVE_INFINITY;
  for (const [key, value] of samples) {
    if (!key.startsWith(`${name}_bucket`)) continue;
    const le = /le="([^"]+)"/.exec(key)?.[1] as string;
    const next = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    if (!(next > bound) || value < last) throw new Error(`buckets of ${name} do not rise at ${key}`);
    [bound, last] = [next, value];
    if (next < Number.POSITIVE_INFINITY) continue;
    const others = key.slice(`${name}_bucket{`.length, -1).replace(/,?le="\+Inf"/, '');
    const count = samples.get(`${name}_count${others === '' ? '' : `{${others}}`}`);
    if (count !== value) throw new Error(`${name} counts ${count}, but ${value} in its buckets`);
    [bound, last] = [Number.NEGATIVE_INFINITY, 0];
  }
}
