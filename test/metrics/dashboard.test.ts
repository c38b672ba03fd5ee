// The Grafana dashboard of examples/grafana asks only for metrics and labels that an engine has.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { readPrometheusText } from '../support/prometheus.js';
import { expectRejection } from '../support/rejections.js';

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
  // Which model is chosen is looked at wherever there is the label.
  const model = await engine.loadModel(bundledModelPath);
  await expectRejection(model.generate(new Array(600).fill(5)).result, 'ERR_CONTEXT');
  const byModel = [...readPrometheusText(await engine.metrics())].filter(([, { samples }]) =>
    [...samples.keys()].some((key) => key.includes('model="')),
  );
  expect(byModel.length).toBeGreaterThan(8);
  for (const expr of panels.flatMap(({ targets }) => targets.map((target) => target.expr))) {
    const isByModel = byModel.some(([name]) => expr.includes(name));
    expect([expr, expr.includes('model=~"$model"')]).toEqual([expr, isByModel]);
  }
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
