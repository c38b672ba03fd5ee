// The Grafana dashboard of examples/grafana asks only for metrics and labels that an engine has.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { readPrometheusText } from '../support/prometheus.js';

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

test('every expression of the dashboard names metrics that there are', async () => {
  const file = resolve(import.meta.dirname, '../../examples/grafana/dashboard.json');
  const { panels } = JSON.parse(readFileSync(file, 'utf8')) as Dashboard;
  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 26 });
  const metrics = readPrometheusText(await engine.metrics());
  const names = new Set<string>();
  for (const [name, { type }] of metrics) {
    const series = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    for (const suffix of series) names.add(`${name}${suffix}`);
  }
  const used = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/tesserae_\w+/g) ?? []));
  expect(used.filter((name) => !names.has(name))).toEqual([]);
  // And all that is measured is shown, but for a few that are for looking closer.
  const shown = new Set(used.map((name) => name.replace(/_(bucket|sum|count)$/, '')));
  const hidden = [...metrics.keys()].filter((name) => !shown.has(name));
  expect(hidden).toEqual([
    'tesserae_programs_recorded_total',
    'tesserae_info',
    'tesserae_models',
    'tesserae_team_on_shift',
    'tesserae_team_workers_replaced_total',
    'tesserae_team_runs_total',
  ]);
});
