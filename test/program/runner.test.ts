// Runs of programs on a team that does nothing: who computes them, and what is pinned, rented and given back.
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { CompiledProgram } from '../../src/program/compiled-program.js';
import { ProgramRun, type ProgramRunOptions, Runner } from '../../src/program/runner.js';
import { SharedArena } from '../../src/program/shared-arena.js';
import type { Team } from '../../src/team/team.js';
import { ReleasableStorage, type Storage } from '../../src/tensor/memory/storage.js';
import type { TensorPool } from '../../src/tensor/tensor-pool.js';

const log: string[] = [];
beforeEach(() => {
  log.length = 0;
});

/** A storage that logs its pins; it fails where it is gone. */
const storage = (name: string, given: { gone?: boolean } = {}) =>
  ({
    pin: () => {
      if (given.gone) throw new Error(`${name} is gone`);
      log.push(`pin ${name}`);
    },
    unpin: () => log.push(`unpin ${name}`),
  }) as unknown as Storage;

class Weights extends ReleasableStorage {
  override pin(): void {
    super.pin();
    log.push('pin weights');
  }
  override unpin(): void {
    super.unpin();
    log.push('unpin weights');
  }
  protected giveBack(): void {
    log.push('give back weights');
  }
}

const programOf = (given: Partial<CompiledProgram> = {}) =>
  ({
    kernels: ['add'],
    externals: [storage('x')],
    arenaBytes: 64,
    traceBytes: 48,
    isTiny: false,
    inlineNs: 700,
    placeArena: (address: number) => log.push(`arena ${address}`),
    ...given,
  }) as CompiledProgram;

const pool = {
  rent: (sizeBytes: number) => {
    log.push(`rent ${sizeBytes}`);
    return { address: 1000 + sizeBytes, sizeBytes, release: () => log.push(`release ${sizeBytes}`) };
  },
} as unknown as TensorPool;

function newRunner() {
  const team = {
    threads: 3,
    checkUsable: vi.fn(),
    takeTurnTime: vi.fn(() => true),
    runInline: vi.fn(() => void log.push('inline')),
    start: vi.fn(() => void log.push('start')),
    stop: vi.fn(),
  };
  return { team, runner: new Runner(team as unknown as Team, pool) };
}

const newRun = (given: Partial<CompiledProgram> = {}, options: ProgramRunOptions = {}) =>
  new ProgramRun(programOf(given), {
    onEnd: (failed) => log.push(failed ? 'failed' : 'done'),
    ...options,
  });

describe('a run on the team', () => {
  test('has its operands pinned and its memory rented, until its end', async () => {
    const { team, runner } = newRunner();
    const run = newRun();
    const controller = new AbortController();
    const result = runner.run(run, controller.signal, 5);
    expect(team.start).toHaveBeenCalledWith(run, controller.signal);
    expect(run.running).toBe(true);
    expect(log).toEqual(['pin x', 'rent 64', 'arena 1064', 'start']);
    log.length = 0;
    run.ended(undefined);
    expect(run.running).toBe(false);
    expect(log).toEqual(['release 64', 'unpin x', 'done']);
    expect(await result).toBe(5);
    expect(team.takeTurnTime).not.toHaveBeenCalled();
  });

  test('that does not finish rejects, and gives back as much; another one can follow', async () => {
    const { runner } = newRunner();
    const run = newRun();
    const failing = runner.run(run, undefined, 5);
    run.ended(new Error('it was stopped'));
    await expect(failing).rejects.toThrow('it was stopped');
    expect(log.slice(-3)).toEqual(['release 64', 'unpin x', 'failed']);
    const next = runner.run(run, undefined, 6);
    run.ended(undefined);
    expect(await next).toBe(6);
  });

  test('needs no options', async () => {
    const { runner } = newRunner();
    const run = new ProgramRun(programOf());
    const running = runner.run(run, undefined, undefined);
    run.ended(undefined);
    expect(await running).toBeUndefined();
  });

  test('is stopped only while it runs', () => {
    const { team, runner } = newRunner();
    const [run, error] = [newRun(), new Error('enough')];
    runner.stop(run, error);
    expect(team.stop).not.toHaveBeenCalled();
    void runner.run(run, undefined, undefined);
    runner.stop(run, error);
    expect(team.stop).toHaveBeenCalledWith(run, error);
    run.ended(undefined);
    runner.stop(run, error);
    expect(team.stop).toHaveBeenCalledTimes(1);
  });
});

describe('the calling thread computes', () => {
  test('a tiny program, if it has time in this turn', async () => {
    const { team, runner } = newRunner();
    const run = newRun({ isTiny: true });
    expect(await runner.run(run, undefined, 5)).toBe(5);
    expect(team.takeTurnTime).toHaveBeenCalledWith(700);
    expect(team.runInline).toHaveBeenCalledWith(run.program);
    expect(log).toEqual(['pin x', 'rent 64', 'arena 1064', 'inline', 'release 64', 'unpin x', 'done']);
    team.takeTurnTime.mockReturnValue(false);
    void runner.run(run, undefined, 5);
    expect(log.at(-1)).toBe('start');
  });

  test('one without steps, which takes no time', async () => {
    const { team, runner } = newRunner();
    expect(await runner.run(newRun({ kernels: [], arenaBytes: 0 }), undefined, 5)).toBe(5);
    expect(log).toEqual(['pin x', 'arena 0', 'unpin x', 'done']);
    expect([team.runInline, team.takeTurnTime, team.start].map(({ mock }) => mock.calls.length)).toEqual([0, 0, 0]);
  });

  test('whatever it is told to compute alone', () => {
    const { team, runner } = newRunner();
    const run = newRun();
    runner.runAlone(run, undefined);
    expect(log).toEqual(['pin x', 'rent 64', 'arena 1064', 'inline', 'release 64', 'unpin x', 'done']);
    expect(team.start).not.toHaveBeenCalled();
  });

  test('and gives all back where that fails', () => {
    const { team, runner } = newRunner();
    team.runInline.mockImplementation(() => {
      throw new Error('an index is outside');
    });
    const run = newRun({ isTiny: true });
    expect(() => runner.run(run, undefined, 5)).toThrow('an index is outside');
    expect([run.running, log.at(-1)]).toEqual([false, 'failed']);
    expect(() => runner.runAlone(run, undefined)).toThrow('an index is outside');
    expect(log.slice(-3)).toEqual(['release 64', 'unpin x', 'failed']);
  });
});

describe('nothing begins', () => {
  test('where the signal has fired, or the team is not usable', () => {
    const { team, runner } = newRunner();
    const run = newRun();
    const aborted = AbortSignal.abort('early');
    expect(() => runner.run(run, aborted, 5)).toThrow(expect.objectContaining({ code: 'ABORT_ERR', cause: 'early' }));
    expect(() => runner.runAlone(run, aborted)).toThrow(expect.objectContaining({ code: 'ABORT_ERR', cause: 'early' }));
    team.checkUsable.mockImplementation(() => {
      throw new Error('closed');
    });
    expect(() => runner.run(run, undefined, 5)).toThrow('closed');
    expect(() => runner.runAlone(run, undefined)).toThrow('closed');
    expect([log, run.running]).toEqual([[], false]);
  });

  test('where an operand is gone, or there is no memory; nothing stays pinned', () => {
    const { runner } = newRunner();
    const gone = newRun({ externals: [storage('x'), storage('y', { gone: true })] });
    expect(() => runner.run(gone, undefined, 5)).toThrow('y is gone');
    expect([log, gone.running]).toEqual([['pin x', 'unpin x'], false]);
    log.length = 0;
    vi.spyOn(pool, 'rent').mockImplementationOnce(() => {
      throw new Error('the budget is used up');
    });
    const run = newRun();
    expect(() => runner.run(run, undefined, 5)).toThrow('the budget is used up');
    expect([log, run.running]).toEqual([['pin x', 'unpin x'], false]);
  });
});

describe('memory for temporaries', () => {
  test('may be given, and is then neither rented nor released', () => {
    const { runner } = newRunner();
    const arena = { address: 4096 } as Storage;
    runner.runAlone(newRun({}, { arena }), undefined);
    expect(log).toEqual(['pin x', 'arena 4096', 'inline', 'unpin x', 'done']);
  });

  test('may be shared, and grows to what a run needs', () => {
    const { runner } = newRunner();
    const arena = new SharedArena(pool);
    runner.runAlone(newRun({}, { arena }), undefined);
    runner.runAlone(newRun({ arenaBytes: 128 }, { arena }), undefined);
    expect(log.filter((line) => /rent|arena|release/.test(line))).toEqual([
      'rent 64',
      'arena 1064',
      'release 64',
      'rent 128',
      'arena 1128',
    ]);
  });

  test('of traces is rented, in the size of the program', () => {
    const { runner } = newRunner();
    expect(runner.threads).toBe(3);
    expect(runner.rentTrace(programOf())).toMatchObject({ address: 1048, sizeBytes: 48 });
  });
});

describe('programs with a shared arena', () => {
  const withWeights = () => {
    const weights = new Weights();
    const run = newRun({ externals: [storage('x'), weights as unknown as Storage] }, { arena: new SharedArena(pool) });
    const { runner } = newRunner();
    const pins = () => {
      log.length = 0;
      runner.runAlone(run, undefined);
      return log.filter((line) => line.includes('pin'));
    };
    return { weights, run, runner, pins };
  };

  test('keep weights pinned between runs, until they are disposed', () => {
    const { weights, run, pins } = withWeights();
    expect(pins()).toEqual(['pin weights', 'pin x', 'unpin x']);
    expect(pins()).toEqual(['pin x', 'unpin x']);
    log.length = 0;
    run.dispose();
    expect(log).toEqual(['unpin weights']);
    weights.release();
    expect(log.at(-1)).toBe('give back weights');
  });

  test('without one, nothing is kept', () => {
    const { runner } = newRunner();
    const run = newRun({ externals: [new Weights() as unknown as Storage] });
    for (let i = 0; i < 2; i++) runner.runAlone(run, undefined);
    expect(log.filter((line) => line.includes('pin'))).toEqual(Array(2).fill(['pin weights', 'unpin weights']).flat());
    run.dispose();
  });

  test('let go of weights where another operand is gone, once memory is released', () => {
    const { weights, runner } = withWeights();
    const gone = { gone: true };
    const externals = [storage('x', gone), weights as unknown as Storage];
    const run = newRun({ externals }, { arena: new SharedArena(pool) });
    expect(() => runner.runAlone(run, undefined)).toThrow('x is gone');
    expect(log).toEqual(['pin weights']);
    weights.release();
    expect(log).toEqual(['pin weights', 'unpin weights', 'give back weights']);
    expect(run.running).toBe(false);
  });
});
