// The worker of docs/PG-BOSS.md on a real PostgreSQL: 500 jobs on two processes, one of which is killed. Each job has one result,
// and none fails but the one that cannot be computed.
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { PgBoss } from 'pg-boss';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { documentPrograms, ProgramFolder } from '../support/running/document-programs.js';
import { PostgresServer } from '../support/running/postgres-server.js';

const jobs = 500;
const folder = new ProgramFolder();
const children: ChildProcess[] = [];
let postgres: PostgresServer;
let boss: PgBoss;

beforeAll(async () => {
  postgres = await PostgresServer.start();
  // This process looks for lost jobs at once; by default pg-boss does so once a minute.
  boss = new PgBoss({ connectionString: postgres.url, superviseIntervalSeconds: 1, monitorIntervalSeconds: 1 });
  boss.on('error', () => {});
  await boss.start();
}, 60_000);
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await boss.stop({ graceful: false });
  await postgres.stop();
  folder.remove();
});

function startWorker(): { child: ChildProcess; ended: Promise<unknown> } {
  const [program] = documentPrograms().filter(({ document }) => document === 'docs/PG-BOSS.md');
  const file = folder.write(program as NonNullable<typeof program>);
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, DATABASE_URL: postgres.url },
    stdio: 'inherit',
  });
  children.push(child);
  return { child, ended: new Promise((resolve) => child.once('exit', (...ending) => resolve(ending))) };
}

test('500 jobs, one process killed: each has one result', { timeout: 120_000 }, async () => {
  const first = startWorker();
  while ((await boss.getQueue('embeddings')) === null) await sleep(50);
  const textOf = (index: number) => `${index} of the people in the sea`;
  const data = Array.from({ length: jobs }, (_, index) => ({ data: { text: textOf(index) } }));
  const ids = (await boss.insert('embeddings', [...data, { data: { text: 'too long '.repeat(5000) } }], {
    returnId: true,
  } as never)) as string[];
  expect(ids).toHaveLength(jobs + 1);
  const count = async (state: string): Promise<number> => {
    const sql = "SELECT count(*)::int AS n FROM pgboss.job WHERE name = 'embeddings' AND state::text = $1";
    const { rows } = await boss.getDb().executeSql(sql, [state]);
    return rows[0].n;
  };
  while ((await count('completed')) < 0.2 * jobs) await sleep(20);
  // Stopped where it has jobs: they are its own, since there is no other process yet.
  first.child.kill('SIGSTOP');
  for (await sleep(50); (await count('active')) === 0; await sleep(50)) {
    first.child.kill('SIGCONT');
    await sleep(20);
    first.child.kill('SIGSTOP');
  }
  const second = startWorker();
  first.child.kill('SIGKILL');
  expect(await first.ended).toEqual([null, 'SIGKILL']);
  while ((await count('completed')) + (await count('failed')) < jobs + 1) await sleep(100);
  expect({ completed: await count('completed'), failed: await count('failed') }).toEqual({
    completed: jobs,
    failed: 1,
  });

  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 30 });
  const model = await engine.loadModel(bundledModelPath);
  const sql =
    "SELECT data, output, retry_count FROM pgboss.job WHERE name = 'embeddings' AND state::text = 'completed'";
  const { rows } = await boss.getDb().executeSql(sql);
  expect(new Set(rows.map((row) => row.data.text)).size).toBe(jobs);
  // Those of the killed process were computed again.
  expect(rows.filter((row) => row.retry_count > 0).length).toBeGreaterThan(0);
  for (const { data: given, output } of rows.slice(0, 20)) {
    const vector = await model.embed(given.text);
    expect(output.vector).toBe(Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64'));
  }
  second.child.kill('SIGTERM');
  expect(await second.ended).toEqual([0, null]);
});
