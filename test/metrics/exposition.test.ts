// The text of metrics: equal to what prom-client writes for the same observations, and read by a strict reader.
import { Counter, Gauge, Histogram as PeerHistogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { Exposition } from '../../src/metrics/exposition.js';
import { Histogram } from '../../src/metrics/histogram.js';
import { Numbers } from '../support/numbers.js';
import { readPrometheusText } from '../support/prometheus.js';

/** Lines in an order of their own: prom-client sorts labels otherwise. */
function sorted(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join(',')}}`))
    .sort();
}

test('the text is that of prom-client', async () => {
  const registry = new Registry();
  const registers = [registry];
  const bounds = [0.001, 0.25, 1, 40];
  const text = new Exposition();
  const values = new Histogram(bounds);
  const peer = new PeerHistogram({
    name: 'a_seconds',
    help: 'How long',
    buckets: bounds,
    labelNames: ['kind'],
    registers,
  });
  const numbers = new Numbers(1);
  for (const value of [0, 0.001, 0.25, 1, 40, 41, ...Array.from({ length: 50 }, () => 50 * numbers.next())]) {
    values.observe(value);
    peer.observe({ kind: 'x' }, value);
  }
  text.histogram('a_seconds', 'How long', [{ labels: { kind: 'x' }, values }]);

  const odd = 'a "quoted" \\ text\nof two lines, with {braces}=';
  new Counter({ name: 'b_total', help: odd, labelNames: ['code', 'kind'], registers }).inc({ code: odd, kind: 'y' }, 3);
  text.counter('b_total', odd, [{ labels: { code: odd, kind: 'y' }, value: 3 }]);
  const gauge = new Gauge({ name: 'c', help: 'Now', registers });
  gauge.set(Number.POSITIVE_INFINITY);
  text.gauge('c', 'Now', [{ value: Number.POSITIVE_INFINITY }]);
  const small = new Gauge({ name: 'd', help: 'Small', registers });
  small.set(1e-9);
  text.gauge('d', 'Small', [{ value: 1e-9 }]);

  const help = (lines: string[]) => lines.filter((line) => !line.startsWith('# HELP b_total'));
  // prom-client escapes quotes in help texts, which the format does not ask for.
  expect(help(sorted(text.toString()))).toEqual(help(sorted(await registry.metrics())));
});

test('a metric without samples has its head, and the strict reader takes all of it', () => {
  const text = new Exposition();
  text.counter('a_total', 'Nothing so far', []);
  text.histogram('b', 'Nothing so far', [{ values: new Histogram([1, 2]) }]);
  const read = readPrometheusText(text.toString());
  expect(read.get('a_total')).toEqual({ type: 'counter', help: 'Nothing so far', samples: new Map() });
  expect(read.get('b')?.samples.get('b_bucket{le="+Inf"}')).toBe(0);
});

test.each([
  ['a sample of another metric', '# HELP a x\n# TYPE a gauge\nb 1\n'],
  ['a metric that comes twice', '# HELP a x\n# TYPE a gauge\na 1\n# HELP a x\n# TYPE a gauge\na 1\n'],
  ['a sample that comes twice', '# HELP a x\n# TYPE a gauge\na 1\na 2\n'],
  ['a label without quotes', '# HELP a x\n# TYPE a gauge\na{b=c} 1\n'],
  ['no number', '# HELP a x\n# TYPE a gauge\na one\n'],
  ['a counter without _total', '# HELP a x\n# TYPE a counter\na 1\n'],
  ['buckets that fall', '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_count 1\n'],
  ['a count that differs', '# HELP a x\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n'],
  ['no end of line', '# HELP a x\n# TYPE a gauge\na 1'],
])('the strict reader refuses %s', (_what, text) => {
  expect(() => readPrometheusText(text)).toThrow();
});
