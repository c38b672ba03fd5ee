// What a team does when its workers die: in the middle of a tile, between programs, at their start, again and again.
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Team, TeamOptions } from '../../src/team/team.js';
import { findWorkerFile } from '../../src/team/worker-file.js';
import { expectRejection } from '../support/rejections.js';
import { Checkpoint, createTeam, until } from '../support/running/arranged-team.js';
import type { Death } from '../support/running/mortal-worker.js';

const teams: Team[] = [];
/** The worker threads that live. */
const workers = new Set<Worker>();

function noteWorker(worker: Worker): void {
  workers.add(worker);
  worker.once('exit', () => workers.delete(worker));
}

beforeEach(() => {
  process.on('worker', noteWorker);
});

afterEach(async () => {
  for (const team of teams.splice(0)) await team.close();
  setDeath(undefined);
  // A worker that died by itself may still be on its way out.
  await until(() => workers.size === 0);
  process.off('worker', noteWorker);
});

async function makeTeam(options: Partial<TeamOptions> = {}): Promise<Team> {
  const team = await createTeam(options);
  teams.push(team);
  return team;
}

/** How workers die that start from now on, in teams of mortal workers. */
function setDeath(death: Death | undefined): void {
  if (death === undefined) delete process.env.TESSERAE_TEST_DEATH;
  else process.env.TESSERAE_TEST_DEATH = death;
}

const mortal = { workerFile: findWorkerFile('test/support/running/mortal-worker.js') };

async function expectWorks(team: Team): Promise<void> {
  const checkpoint = new Checkpoint();
  const run = team.run(checkpoint.program({ tiles: team.threads }));
  await checkpoint.reached(team.threads);
  checkpoint.open();
  await run;
}

async function terminateAll(): Promise<void> {
  for (const worker of [...workers]) await worker.terminate();
}

const deaths: readonly (readonly [string, Partial<TeamOptions>, Death | undefined])[] = [
  ['throws', {}, undefined],
  ['exits', mortal, 'exit'],
];

test.each(deaths)('a worker that %s in mid-program loses that program alone', async (_what, options, death) => {
  setDeath(death);
  const team = await makeTeam({ threads: 2, ...options });
  const other = new Checkpoint();
  const unharmed = team.run(other.program());
  await other.reached(1);
  const program = new Checkpoint().program({ mode: 'abandon', tiles: 5 });
  for (let round = 1; round <= 4; round++) {
    const error = await expectRejection(team.run(program), 'ERR_WORKER_LOST', /a worker thread died: /);
    expect(error.cause).toBeInstanceOf(Error);
    expect(team.stats()).toMatchObject({ workersLost: round, runs: { failed: round } });
    // The worker that is left at its gate is not needed for this.
    const next = new Checkpoint();
    next.open();
    await team.run(next.program({ tiles: 3 }));
    expect(next.arrivals).toBe(3);
  }
  other.open();
  await unharmed;
  await expectWorks(team);
  expect(team.stats()).toMatchObject({ running: 0, queued: 0 });
});

test('workers that are terminated while they have nothing to do are replaced', async () => {
  const team = await makeTeam({ threads: 2, lingerUs: 0 });
  for (let round = 0; round < 3; round++) {
    await terminateAll();
    await expectWorks(team);
  }
  expect(team.stats().runs).toMatchObject({ started: 3, finished: 3 });
});

test('workers that are terminated while they linger for the next program are replaced', async () => {
  const team = await makeTeam({ threads: 2, lingerUs: 500_000 });
  await expectWorks(team);
  const terminated = terminateAll();
  // Their native calls return when there is something to do; then the threads end.
  const checkpoint = new Checkpoint();
  checkpoint.open();
  for (let count = 0; count < 3; count++) await team.run(checkpoint.program({ tiles: 2 }));
  await terminated;
  await expectWorks(team);
});

test('workers that are terminated in the middle of a program leave it to their successors', async () => {
  const team = await makeTeam({ threads: 2 });
  const checkpoint = new Checkpoint();
  const run = team.run(checkpoint.program({ tiles: 4, steps: 5 }));
  await checkpoint.reached(2);
  const terminated = terminateAll();
  checkpoint.open();
  await terminated;
  // A worker ends between two tiles, and loses none: the program may even finish.
  await run;
  expect(checkpoint.arrivals).toBe(20);
  await expectWorks(team);
});

test('a team gives up when its workers die at each start, and closes as ever', async () => {
  const team = await makeTeam({ threads: 2, ...mortal });
  setDeath('begin');
  await terminateAll();
  const runs = Array.from({ length: 70 }, () => team.run(new Checkpoint().program({ tiles: 2 })));
  await Promise.all(runs.map((run) => expectRejection(run, 'ERR_WORKER_LOST', /keep dying/)));
  const { workersLost } = team.stats();
  expect(workersLost).toBeGreaterThan(5);
  expect(workersLost).toBeLessThan(20);
  await expectRejection(team.run(new Checkpoint().program()), 'ERR_WORKER_LOST', /keep dying/);
  expect(team.stats()).toMatchObject({ running: 0, queued: 0, workersLost });
});

test('a team whose workers cannot be started again says so', async () => {
  const team = await makeTeam({ threads: 2, ...mortal });
  setDeath('load');
  await terminateAll();
  await until(() => workers.size === 0);
  await expectRejection(team.run(new Checkpoint().program()), 'ERR_WORKER_LOST', /cannot be started again/);
});

test('runs that wait when the last worker cannot be replaced are rejected', async () => {
  setDeath('exit');
  const team = await makeTeam({ threads: 1, ...mortal });
  setDeath('load');
  const checkpoint = new Checkpoint();
  const lost = team.run(new Checkpoint().program({ mode: 'abandon' }));
  const waiting = Array.from({ length: 3 }, () => team.run(checkpoint.program()));
  await Promise.all([lost, ...waiting].map((run) => expectRejection(run, 'ERR_WORKER_LOST')));
  expect(checkpoint.arrivals).toBe(0);
});

test('a team whose workers do not load is not made', async () => {
  setDeath('load');
  await expectRejection(makeTeam(mortal), 'ERR_WORKER_START', /this worker cannot be loaded/);
  await expectRejection(makeTeam({ workerFile: new URL('nothing.js', import.meta.url).href }), 'ERR_WORKER_START');
});

test('a stream of deaths among good runs does not bring the team down', async () => {
  setDeath('exit');
  const team = await makeTeam({ threads: 2, lingerUs: 0, ...mortal });
  for (let round = 0; round < 8; round++) {
    await expectRejection(team.run(new Checkpoint().program({ mode: 'abandon' })), 'ERR_WORKER_LOST');
    await expectWorks(team);
  }
  expect(team.stats()).toMatchObject({ workersLost: 8, runs: { failed: 8, finished: 8 } });
});
