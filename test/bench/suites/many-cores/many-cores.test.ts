// bench/suites/many-cores/many-cores.ts on the bundled model: rows for each work and number of workers, measured as far as this
// machine goes, and a text that says what is predicted. Speeds are not checked.
import { expect, test } from 'vitest';
import { BenchContext } from '../../../../bench/measuring/context.js';
import { formatReport } from '../../../../bench/reports/report-text.js';
import { benchManyCores } from '../../../../bench/suites/many-cores/many-cores.js';

test('the suite', async () => {
  await using context = await BenchContext.open({ threads: 2, probe: false });
  const report = await benchManyCores(context, { promptTokens: 16, workers: [1, 2, 4], readBytesPerNs: 20 });
  expect(report).toMatchObject({ measuredWorkers: 2, costs: { readBytesPerNs: 20 } });
  const works = ['matmul 1024³', 'prompt of 16', 'a token', '32 rows'];
  expect(report.rows.map(({ work, workers }) => `${work}, ${workers}`)).toEqual(
    works.flatMap((work) => [1, 2, 4].map((workers) => `${work}, ${workers}`)),
  );
  for (const row of report.rows) {
    expect(row.predictedMs).toBeGreaterThan(0);
    expect(row.serialMs).toBeGreaterThan(0);
    expect(row.speedup).toBeGreaterThan(0);
    if (row.workers === 1) expect(row).toMatchObject({ speedup: 1, speedupInCaches: 1 });
    if (row.workers <= 2) expect(row.measuredMs).toBeGreaterThan(0);
    else expect(row.measuredMs).toBeNull();
  }
  expect(context.widest.stats().pool).toMatchObject({ rentedBytes: 0, liveTensors: 0 });

  const { machine, origin } = context;
  const text = formatReport({
    machine,
    isa: origin.isa,
    roofline: [],
    suites: [{ suite: 'many-cores', ...report }],
  });
  expect(text).toContain('PREDICTED, NOT MEASURED, beyond 2 workers');
  expect(text).toMatch(/matmul 1024³ +4 +[\d.]+ (?:ms|µs) {2,}/);
});
