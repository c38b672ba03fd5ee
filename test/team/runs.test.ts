// src/team/team.ts: how runs of programs share the workers, queue, fail, are cancelled, and end when the team closes.
import { getEventListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { loadAddon } from '../../src/native/load.js';
import type { Team, TeamOptions } from '../../src/team/team.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { Checkpoint, createTeam, runOn, until } from '../support/running/arranged-team.js';

const teams: Team[] = [];
const checkpoints: Checkpoint[] = [];

async function makeTeam(options: Partial<TeamOptions> = {}): Promise<Team> {
  const team = await createTeam(options);
  teams.push(team);
  return team;
}

function makeCheckpoint(): Checkpoint {
  const checkpoint = new Checkpoint();
  checkpoints.push(checkpoint);
  return checkpoint;
}

afterEach(async () => {
  for (const checkpoint of checkpoints.splice(0)) checkpoint.open();
  for (const team of teams.splice(0)) await team.close();
  vi.restoreAllMocks();
});

/** Asserts that all workers of the team can compute at the same time. */
async function expectWorks(team: Team): Promise<void> {
  const checkpoint = makeCheckpoint();
  const run = runOn(team, checkpoint.program({ tiles: team.threads }));
  await checkpoint.reached(team.threads);
  checkpoint.open();
  await run;
}

test('all workers take tiles of one program at the same time', async () => {
  const team = await makeTeam({ threads: 3 });
  await expectWorks(team);
  expect(team.stats()).toMatchObject({ threads: 3, running: 0, queued: 0, workersLost: 0 });
  expect(team.stats().kernels.find(({ op }) => op === 'checkpoint')).toMatchObject({ tiles: 3 });
});

test('a step does not begin before the step before it is complete', async () => {
  const team = await makeTeam();
  const checkpoint = makeCheckpoint();
  const run = runOn(team, checkpoint.program({ tiles: 3, steps: 2 }));
  await checkpoint.reached(2);
  expect(checkpoint.arrivals).toBe(2);
  checkpoint.open();
  await run;
  expect(checkpoint.arrivals).toBe(6);
});

test('a program that waits at a gate does not keep another from running', async () => {
  const team = await makeTeam();
  const held = makeCheckpoint();
  const first = runOn(team, held.program());
  await held.reached(1);
  for (let count = 0; count < 3; count++) {
    const other = makeCheckpoint();
    other.open();
    await runOn(team, other.program({ tiles: 5 }));
  }
  expect(team.stats()).toMatchObject({ running: 1, runs: { finished: 3 } });
  held.open();
  await first;
});

test('two programs of one tile run on two workers, even if the first one has called only one', async () => {
  const team = await makeTeam({ lingerUs: 0 });
  const [first, second] = [makeCheckpoint(), makeCheckpoint()];
  const runs = [runOn(team, first.program()), runOn(team, second.program())];
  await Promise.all([first.reached(1), second.reached(1)]);
  first.open();
  second.open();
  await Promise.all(runs);
});

test('workers sleep when there is nothing to do, and are called again', async () => {
  const team = await makeTeam({ lingerUs: 0 });
  for (let round = 0; round < 3; round++) {
    await until(() => team.stats().onShift === 0);
    const { shifts } = team.stats();
    await expectWorks(team);
    expect(team.stats().shifts).toBe(shifts + 2);
  }
});

test('a program for all workers of a large team, all of which are away, calls each of them', async () => {
  const team = await makeTeam({ threads: 9, lingerUs: 0 });
  for (let round = 0; round < 3; round++) {
    await until(() => team.stats().onShift === 0);
    const { shifts } = team.stats();
    await expectWorks(team);
    expect(team.stats().shifts).toBeLessThanOrEqual(shifts + 9);
  }
});

test('programs beyond the number of slots wait, and all finish', async () => {
  const team = await makeTeam();
  const gate = makeCheckpoint();
  const runs = [runOn(team, gate.program({ tiles: 2 }))];
  await gate.reached(2);
  const ended: number[] = [];
  const open = makeCheckpoint();
  open.open();
  for (let index = 0; index < 150; index++) {
    runs.push(runOn(team, open.program()).then(() => void ended.push(index)));
  }
  expect(team.stats()).toMatchObject({ running: 64, queued: 87, runs: { started: 151 } });
  gate.open();
  await Promise.all(runs);
  expect(new Set(ended).size).toBe(150);
  expect(open.arrivals).toBe(150);
  expect(team.stats()).toMatchObject({ running: 0, queued: 0, runs: { finished: 151, aborted: 0, failed: 0 } });
});

test('a worker that is late from a run does not disturb the next runs of the same program', async () => {
  const team = await makeTeam({ threads: 3, lingerUs: 0 });
  const checkpoint = makeCheckpoint();
  checkpoint.open();
  const program = checkpoint.program({ tiles: 4, steps: 3 });
  for (let round = 1; round <= 500; round++) {
    await runOn(team, program);
    expect(checkpoint.arrivals).toBe(12 * round);
  }
});

test('the failure of a kernel names the op and the tile, and the program runs again afterwards', async () => {
  const team = await makeTeam();
  const checkpoint = makeCheckpoint();
  const program = checkpoint.program({ mode: 'fail', tiles: 7 });
  for (let round = 0; round < 3; round++) {
    const error = await expectRejection(
      runOn(team, program),
      'ERR_KERNEL',
      /^checkpoint: tile \d failed with status 2/,
    );
    expect(error.op).toBe('checkpoint');
  }
  expect(team.stats()).toMatchObject({ running: 0, runs: { failed: 3, finished: 0 } });
  await expectWorks(team);
});

test('aborting a run that waits for a slot removes it from the queue', async () => {
  const team = await makeTeam();
  const gate = makeCheckpoint();
  const runs = Array.from({ length: 64 }, () => runOn(team, gate.program()));
  const controllers = [new AbortController(), new AbortController()] as const;
  const never = makeCheckpoint();
  never.open();
  const queued = controllers.map(({ signal }) => runOn(team, never.program(), signal));
  expect(team.stats()).toMatchObject({ running: 64, queued: 2 });
  const reason = new Error('enough');
  controllers[0].abort(reason);
  await expectAbort(queued[0], reason);
  expect(team.stats()).toMatchObject({ running: 64, queued: 1, runs: { aborted: 1 } });
  gate.open();
  await Promise.all([...runs, queued[1]]);
  expect(never.arrivals).toBe(1);
});

test('after an abort, the current tiles are completed and no more are claimed', async () => {
  const team = await makeTeam();
  const checkpoint = makeCheckpoint();
  const program = checkpoint.program({ tiles: 50 });
  const controller = new AbortController();
  const run = runOn(team, program, controller.signal);
  await checkpoint.reached(2);
  controller.abort('why not');
  let settled = false;
  const noticed = run.catch(() => {
    settled = true;
  });
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  expect(settled).toBe(false);
  checkpoint.open();
  await noticed;
  await expectAbort(run, 'why not');
  expect(checkpoint.arrivals).toBe(2);
  expect(team.stats()).toMatchObject({ running: 0, runs: { started: 1, aborted: 1, finished: 0 } });
  // The counters were reset after the incomplete run.
  await runOn(team, program);
  expect(checkpoint.arrivals).toBe(52);
});

test('an abort before the run refuses it; one after the run, or a second one, has no effect', async () => {
  const team = await makeTeam();
  const checkpoint = makeCheckpoint();
  checkpoint.open();
  const program = checkpoint.program();
  await expectAbort(runOn(team, program, AbortSignal.abort('early')), 'early');
  expect(team.stats().runs).toMatchObject({ started: 0 });
  const controller = new AbortController();
  await runOn(team, program, controller.signal);
  controller.abort();
  controller.abort();
  await runOn(team, program);
  expect(checkpoint.arrivals).toBe(2);
  expect(team.stats().runs).toMatchObject({ started: 2, finished: 2, aborted: 0 });
});

test('a signal can serve many runs without warnings, and has no listener left afterwards', async () => {
  const team = await makeTeam();
  const warnings: Error[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on('warning', note);
  const checkpoint = makeCheckpoint();
  const controller = new AbortController();
  const { signal } = controller;
  const programs = Array.from({ length: 100 }, () => checkpoint.program());
  const aborted = programs.map((program) => expectAbort(runOn(team, program, signal), 'all of them'));
  await checkpoint.reached(2);
  controller.abort('all of them');
  checkpoint.open();
  await Promise.all(aborted);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  const { signal: quiet } = new AbortController();
  await Promise.all(programs.map((program) => runOn(team, program, quiet)));
  expect(getEventListeners(quiet, 'abort')).toHaveLength(0);
  await nextTurn();
  process.off('warning', note);
  expect(warnings).toEqual([]);
  expect(team.stats().runs).toMatchObject({ started: 200, finished: 100, aborted: 100 });
});

test('close rejects running and waiting runs, and ends the threads', async () => {
  const team = await createTeam();
  const gate = makeCheckpoint();
  const runs = Array.from({ length: 70 }, () => runOn(team, gate.program()));
  await gate.reached(2);
  const rejected = runs.map((run) => expectRejection(run, 'ERR_ENGINE_CLOSED'));
  const closed = team.close();
  gate.open();
  await Promise.all(rejected);
  await closed;
  expect(gate.arrivals).toBe(2);
  expect(team.stats()).toMatchObject({ running: 0, queued: 0, workers: 0 });
  await expectRejection(runOn(team, gate.program()), 'ERR_ENGINE_CLOSED');
  await expectRejection(() => team.runInline(gate.program()), 'ERR_ENGINE_CLOSED');
  await team.close();
});

test('a run does not overtake those that wait, even if a slot has become free meanwhile', async () => {
  const addon = loadAddon();
  let hasFreeSlot = true;
  const slotIsFree = addon.slotIsFree.bind(addon);
  vi.spyOn(addon, 'slotIsFree').mockImplementation((control, slot) => hasFreeSlot && slotIsFree(control, slot));
  const team = await makeTeam({ addon });
  const held = makeCheckpoint();
  const running = runOn(team, held.program());
  await held.reached(1);
  hasFreeSlot = false;
  const [first, second] = [makeCheckpoint(), makeCheckpoint()];
  const waiting = runOn(team, first.program());
  expect(team.stats()).toMatchObject({ running: 1, queued: 1 });
  hasFreeSlot = true;
  const later = runOn(team, second.program());
  expect(team.stats()).toMatchObject({ running: 1, queued: 2 });
  held.open();
  await running;
  first.open();
  second.open();
  await Promise.all([waiting, later]);
});

test('the first reason why a run does not finish is the one that it ends with', async () => {
  const team = await makeTeam();
  const checkpoint = makeCheckpoint();
  const controller = new AbortController();
  const run = runOn(team, checkpoint.program({ tiles: 2 }), controller.signal);
  await checkpoint.reached(1);
  const reason = new Error('enough');
  controller.abort(reason);
  const closed = team.close();
  checkpoint.open();
  await Promise.all([expectAbort(run, reason), closed]);
});

test.each(['fail', 'abandon'] as const)(
  'an abort that comes before the news of a tile counts, in mode %s',
  async (mode) => {
    const team = await makeTeam();
    const checkpoint = makeCheckpoint();
    const controller = new AbortController();
    const run = runOn(team, checkpoint.program({ mode }), controller.signal);
    // The event loop does not turn meanwhile, so that this thread hears of nothing.
    while (checkpoint.arrivals === 0);
    const reason = new Error('enough');
    controller.abort(reason);
    await expectAbort(run, reason);
    await until(() => team.stats().workers === 2);
    expect(team.stats()).toMatchObject({ running: 0, runs: { aborted: 1, failed: 0 } });
  },
);
