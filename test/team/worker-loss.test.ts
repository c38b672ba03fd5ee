// src/team: what a team does when its workers die: in a tile, between programs, at their start, repeatedly.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { builtFile } from '../../src/base/package-files.js';
import type { Team, TeamOptions } from '../../src/team/team.js';
import { expectRejection } from '../support/rejections.js';
import { Checkpoint, createTeam, runOn, until } from '../support/running/arranged-team.js';
import type { Death } from '../support/running/mortal-worker.js';
import { runsOnWasm } from '../support/running/wasm.js';

const teams: Team[] = [];
/** The worker threads that are alive. */
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
  // A worker that died by itself may not have exited yet.
  await until(() => workers.size === 0);
  process.off('worker', noteWorker);
});

async function makeTeam(options: Partial<TeamOptions> = {}): Promise<Team> {
  const team = await createTeam(options);
  teams.push(team);
  return team;
}

/** Sets how workers die that start from now on, in teams whose worker entry is mortal-worker.ts. */
function setDeath(death: Death | undefined): void {
  if (death === undefined) delete process.env.TESSERAE_TEST_DEATH;
  else process.env.TESSERAE_TEST_DEATH = death;
}

const mortal = { workerFile: builtFile('test/support/running/mortal-worker.js') };

async function expectWorks(team: Team): Promise<void> {
  const checkpoint = new Checkpoint();
  const run = runOn(team, checkpoint.program({ tiles: team.threads }));
  await checkpoint.reached(team.threads);
  checkpoint.open();
  await run;
}

/** Runs programs until one finishes. A worker that started before the deaths ended may still take its seat, and die. */
async function untilRunFinishes(team: Team): Promise<void> {
  const checkpoint = new Checkpoint();
  checkpoint.open();
  const finishes = () =>
    runOn(team, checkpoint.program()).then(
      () => true,
      () => false,
    );
  while (!(await finishes())) await nextTurn();
}

async function terminateAll(): Promise<void> {
  for (const worker of [...workers]) await worker.terminate();
}

const deaths: readonly (readonly [string, Partial<TeamOptions>, Death | undefined])[] = [
  ['throws', {}, undefined],
  ['exits', mortal, 'exit'],
];

test.each(deaths)(
  'a worker that %s in the middle of a program fails only that program',
  async (_what, options, death) => {
    setDeath(death);
    const team = await makeTeam({ threads: 2, ...options });
    const other = new Checkpoint();
    const unharmed = runOn(team, other.program());
    await other.reached(1);
    const program = new Checkpoint().program({ mode: 'abandon', tiles: 5 });
    const told: unknown[] = [];
    const listener = (message: unknown) => told.push(message);
    subscribe('tesserae:worker:lost', listener);
    for (let round = 1; round <= 4; round++) {
      const error = await expectRejection(runOn(team, program), 'ERR_WORKER_LOST', /a worker thread died: /);
      expect(error.cause).toBeInstanceOf(Error);
      expect(team.stats()).toMatchObject({ workersLost: round, runs: { failed: round } });
      // This works without the worker that waits at its gate.
      const next = new Checkpoint();
      next.open();
      await runOn(team, next.program({ tiles: 3 }));
      expect(next.arrivals).toBe(3);
    }
    unsubscribe('tesserae:worker:lost', listener);
    const lost = { error: expect.objectContaining({ code: 'ERR_WORKER_LOST' }) };
    expect(told).toEqual([lost, lost, lost, lost]);
    other.open();
    await unharmed;
    await expectWorks(team);
    expect(team.stats()).toMatchObject({ running: 0, queued: 0 });
  },
);

test('workers that are terminated while they are away are replaced', async () => {
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
  // Their native calls return when there is work; then the threads end.
  const checkpoint = new Checkpoint();
  checkpoint.open();
  for (let count = 0; count < 3; count++) await runOn(team, checkpoint.program({ tiles: 2 }));
  await terminated;
  await expectWorks(team);
});

test.each<Death>(['called', 'calling'])(
  'workers that die when they are %s leave none away that is to be called',
  async (death) => {
    setDeath(death);
    const team = await makeTeam({ threads: 6, lingerUs: 0, ...mortal });
    setDeath(undefined);
    await until(() => team.stats().onShift === 0);
    await expectWorks(team);
    expect(team.stats().workersLost).toBeGreaterThan(1);
    expect(team.stats().runs).toMatchObject({ started: 1, finished: 1 });
  },
);

test.each<Death | undefined>([undefined, 'calling'])(
  'a team closes while its workers call each other (%s)',
  async (death) => {
    for (let round = 0; round < 3; round++) {
      setDeath(death);
      const team = await makeTeam({ threads: 6, lingerUs: 0, ...mortal });
      await until(() => team.stats().onShift === 0);
      const checkpoint = new Checkpoint();
      checkpoint.open();
      const run = runOn(team, checkpoint.program({ tiles: 6, steps: 10 })).catch((error: unknown) => error);
      await team.close();
      expect([undefined, 'ERR_ENGINE_CLOSED']).toContain(((await run) as { code?: string } | undefined)?.code);
      expect(team.stats()).toMatchObject({ workers: 0, running: 0 });
    }
  },
);

test.skipIf(runsOnWasm)(
  'workers that are terminated in the middle of a program are replaced, and it finishes',
  async () => {
    const team = await makeTeam({ threads: 2 });
    const checkpoint = new Checkpoint();
    const run = runOn(team, checkpoint.program({ tiles: 4, steps: 5 }));
    await checkpoint.reached(2);
    const terminated = terminateAll();
    checkpoint.open();
    await terminated;
    // A worker ends between two tiles, so no tile is lost.
    await run;
    expect(checkpoint.arrivals).toBe(20);
    await expectWorks(team);
  },
);

// Native code returns before its thread ends; WebAssembly is stopped anywhere, as JavaScript is.
test.runIf(runsOnWasm)('workers that are terminated in a tile are replaced, and the program fails', async () => {
  const team = await makeTeam({ threads: 2 });
  const checkpoint = new Checkpoint();
  const failed = expectRejection(runOn(team, checkpoint.program({ tiles: 4, steps: 5 })), 'ERR_WORKER_LOST');
  await checkpoint.reached(2);
  await terminateAll();
  await failed;
  checkpoint.open();
  await expectWorks(team);
  expect(team.stats()).toMatchObject({ workersLost: 2, running: 0, queued: 0 });
});

test('runs fail while workers die at each start, and the team is usable when they do not any more', async () => {
  const team = await makeTeam({ threads: 2, ...mortal });
  setDeath('begin');
  await terminateAll();
  const runs = Array.from({ length: 70 }, () => runOn(team, new Checkpoint().program({ tiles: 2 })));
  await Promise.all(
    runs.map((run) => expectRejection(run, 'ERR_WORKER_LOST', /a worker thread (died|cannot be started)/)),
  );
  expect(team.stats().workersLost).toBeGreaterThan(5);
  expect(team.stats()).toMatchObject({ running: 0, queued: 0 });
  setDeath(undefined);
  await untilRunFinishes(team);
  await until(() => team.stats().workers === 2);
  await expectWorks(team);
  const { workersLost, workersReplaced } = team.stats();
  expect(workersLost).toBeLessThan(100);
  expect(workersReplaced).toBeGreaterThan(1);
});

test('a run fails if the workers died and cannot be started again', async () => {
  const team = await makeTeam({ threads: 2, ...mortal });
  setDeath('load');
  await terminateAll();
  await until(() => workers.size === 0);
  const run = new Checkpoint().program();
  await expectRejection(runOn(team, run), 'ERR_WORKER_LOST', /cannot be started again: this worker cannot be loaded/);
  await until(() => team.stats().workersLost > 8);
  expect(() => team.checkUsable()).toThrow(/cannot be started again/);
  setDeath(undefined);
  await until(() => team.stats().workers === 2);
  await expectWorks(team);
});

test('waiting runs are rejected if the last worker cannot be replaced', async () => {
  setDeath('exit');
  const team = await makeTeam({ threads: 1, ...mortal });
  setDeath('load');
  const checkpoint = new Checkpoint();
  const lost = runOn(team, new Checkpoint().program({ mode: 'abandon' }));
  const waiting = Array.from({ length: 3 }, () => runOn(team, checkpoint.program()));
  await Promise.all([lost, ...waiting].map((run) => expectRejection(run, 'ERR_WORKER_LOST')));
  expect(checkpoint.arrivals).toBe(0);
});

test('creating a team fails if its workers do not load', async () => {
  setDeath('load');
  await expectRejection(makeTeam(mortal), 'ERR_WORKER_START', /this worker cannot be loaded/);
  await expectRejection(makeTeam({ workerFile: new URL('nothing.js', import.meta.url).href }), 'ERR_WORKER_START');
});

test('a team survives any number of deaths with good runs in between', async () => {
  setDeath('exit');
  const team = await makeTeam({ threads: 2, lingerUs: 0, ...mortal });
  for (let round = 0; round < 8; round++) {
    await expectRejection(runOn(team, new Checkpoint().program({ mode: 'abandon' })), 'ERR_WORKER_LOST');
    await expectWorks(team);
  }
  expect(team.stats()).toMatchObject({ workersLost: 8, runs: { failed: 8, finished: 8 } });
});
