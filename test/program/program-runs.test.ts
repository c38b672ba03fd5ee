// A program as its caller sees it, on a runner that does nothing: when it may run, what it refuses, and when its memory is
// given back.
import { describe, expect, test, vi } from 'vitest';
import { internal } from '../../src/base/internal.js';
import type { CompiledProgram } from '../../src/program/compiled-program.js';
import { Program, type ProgramMemory } from '../../src/program/program.js';
import type { ProgramRun, Runner } from '../../src/program/runner.js';
import type { Tensor } from '../../src/tensor/tensor.js';

/** The entries of a trace of two tiles: when they began and ended, and who computed them. */
const traceOf = (startNs: bigint) => [startNs + 10n, startNs + 20n, 0n, startNs + 30n, startNs + 50n, 1n];

function newProgram() {
  const trace = { address: 640, buffer: new SharedArrayBuffer(128), byteOffset: 64, release: vi.fn() };
  const words = new BigUint64Array(trace.buffer, 64, 6);
  const step = { tiles: 1, after: 0, flops: 6, bytesRead: 1, bytesWritten: 2 };
  const compiled = {
    kernels: ['add', 'copy'],
    flops: 12,
    arenaBytes: 64,
    externals: [],
    traceBytes: 48,
    steps: [
      { kernel: 'add', ...step },
      { kernel: 'copy', ...step },
    ],
    placeTrace: vi.fn(),
  };
  const started: ProgramRun[] = [];
  const compute = () => words.set(traceOf(process.hrtime.bigint()));
  const runner = {
    threads: 3,
    rentTrace: vi.fn(() => trace),
    run: vi.fn(async (run: ProgramRun, _signal: AbortSignal | undefined, _result: unknown) => {
      run.running = true;
      started.push(run);
      await Promise.resolve();
      compute();
      run.end(false);
    }),
    runAlone: vi.fn((run: ProgramRun, _signal: AbortSignal | undefined) => {
      compute();
      run.end(false);
    }),
    stop: vi.fn(),
  };
  const tensor = { checkUsable: vi.fn() };
  const memory = { tensors: [tensor as unknown as Tensor], arena: undefined, release: vi.fn() } satisfies ProgramMemory;
  const tensors = { x: 1 };
  const parts = {
    tensors,
    compiled: compiled as unknown as CompiledProgram,
    runner: runner as unknown as Runner,
    memory,
  };
  return {
    program: new Program(internal, parts),
    tensors,
    runner,
    own: parts.runner,
    memory,
    tensor,
    compiled,
    trace,
    started,
  };
}

const busy = (message: string) => expect.objectContaining({ code: 'ERR_BUSY', message });

describe('a program', () => {
  test('has what was recorded', () => {
    const { program, tensors } = newProgram();
    expect(program.tensors).toBe(tensors);
    expect(program).toMatchObject({ kernels: ['add', 'copy'], flops: 12, arenaBytes: 64 });
  });

  test('is what its constructor made, which callers cannot call', () => {
    const { program } = newProgram();
    expect(program instanceof Program).toBe(true);
    for (const other of [Object.create(Program.prototype), {}, null, undefined, 5, () => {}]) {
      expect(other instanceof Program).toBe(false);
    }
    const message = 'a Program cannot be constructed; engine.program makes it';
    expect(() => new Program(Symbol('x') as never, {} as never)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message }),
    );
    expect([Object.isFrozen(Program), Object.isFrozen(Program.prototype)]).toEqual([true, true]);
  });
});

describe('a run', () => {
  test('is one of its own, with its signal', async () => {
    const { program, runner, tensor, started } = newProgram();
    const { signal } = new AbortController();
    await program.run({ signal });
    await program.run();
    await program.run({});
    expect(runner.run.mock.calls.map(([, given, result]) => [given, result])).toEqual([
      [signal, undefined],
      [undefined, undefined],
      [undefined, undefined],
    ]);
    expect(new Set(started).size).toBe(1);
    expect(tensor.checkUsable.mock.calls).toEqual(Array(3).fill(['program.run']));
  });

  test('is stopped by an error', () => {
    const { program, runner, started } = newProgram();
    const error = new Error('enough');
    void program.run();
    program.stop(error);
    expect(runner.stop).toHaveBeenCalledWith(started[0], error);
  });

  test('is refused as a rejection, and nothing runs', async () => {
    const { program, runner, tensor } = newProgram();
    for (const options of [null, 5, { signl: undefined }, { signal: {} }, { runs: 1 }]) {
      await expect(program.run(options as never)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', op: 'program.run' });
    }
    tensor.checkUsable.mockImplementationOnce(() => {
      throw new Error('the tensor is gone');
    });
    await expect(program.run()).rejects.toThrow('the tensor is gone');
    expect(runner.run).not.toHaveBeenCalled();
    const running = program.run();
    await expect(program.run()).rejects.toEqual(busy('the program is running; await its last run first'));
    await running;
    expect(runner.run).toHaveBeenCalledTimes(1);
  });
});

describe('a profile', () => {
  test('is of five runs, and of the one with the median time', async () => {
    const { program, runner, own, compiled, trace, tensor } = newProgram();
    const profile = await program.profile(own, {});
    expect(profile).toMatchObject({ threads: 3, runs: 5, steps: [{ kernel: 'add' }, { kernel: 'copy' }] });
    expect(profile.tiles.map(({ step, seat, startNs, endNs }) => [step, seat, endNs - startNs])).toEqual([
      [0, 0, 10],
      [1, 1, 20],
    ]);
    expect(runner.rentTrace).toHaveBeenCalledWith(compiled);
    expect(runner.run).toHaveBeenCalledTimes(5);
    expect(compiled.placeTrace.mock.calls).toEqual([[640], [0]]);
    expect(trace.release).toHaveBeenCalledTimes(1);
    expect(tensor.checkUsable.mock.calls).toEqual(Array(6).fill(['profile']));
  });

  test('may be of other runs, by the team or by the calling thread alone, with a signal', async () => {
    const { program, runner, own } = newProgram();
    const { signal } = new AbortController();
    expect(await program.profile(own, { runs: 2, signal })).toMatchObject({ runs: 2 });
    expect(runner.run.mock.calls.map((call) => call[1])).toEqual([signal, signal]);
    await program.profile(own, { runs: 3, alone: true, signal });
    expect(runner.run).toHaveBeenCalledTimes(2);
    expect(runner.runAlone.mock.calls.map((call) => call[1])).toEqual([signal, signal, signal]);
    await program.profile(own, { runs: 1, alone: false });
    expect(runner.run).toHaveBeenCalledTimes(3);
  });

  test('has the times of the run that it is of', async () => {
    const { program, runner, own, trace } = newProgram();
    // Runs of 100, 200 and 300 ns.
    const clock = vi.spyOn(process.hrtime, 'bigint');
    for (const now of [0n, 100n, 1000n, 1200n, 2000n, 2300n]) clock.mockReturnValueOnce(now);
    const words = new BigUint64Array(trace.buffer, 64, 6);
    let runs = 0n;
    runner.runAlone.mockImplementation((run: ProgramRun) => {
      words.set([1000n * runs + 5n, 1000n * runs + 6n + runs, 0n, 1000n * runs + 50n, 1000n * runs + 90n, 0n]);
      runs += 1n;
      run.end(false);
    });
    const profile = await program.profile(own, { runs: 3, alone: true });
    clock.mockRestore();
    expect(profile.wallNs).toBe(200);
    expect(profile.tiles[0]).toMatchObject({ startNs: 5, endNs: 7 });
  });

  test('is taken by one at a time, and gives the trace back where a run fails', async () => {
    const { program, runner, own, compiled, trace } = newProgram();
    const first = program.profile(own, { runs: 1 });
    const refused = [program.profile(own, {}), program.run()];
    const problem = 'the program is being profiled; await that first';
    expect(await Promise.allSettled(refused)).toEqual([
      { status: 'rejected', reason: busy(`profile: ${problem}`) },
      { status: 'rejected', reason: busy(problem) },
    ]);
    await first;
    const running = program.run();
    await expect(program.profile(own, {})).rejects.toEqual(busy('the program is running; await its last run first'));
    await running;
    expect(trace.release).toHaveBeenCalledTimes(1);
    runner.run.mockRejectedValueOnce(new Error('a worker is lost'));
    await expect(program.profile(own, {})).rejects.toThrow('a worker is lost');
    expect(compiled.placeTrace).toHaveBeenLastCalledWith(0);
    expect(trace.release).toHaveBeenCalledTimes(2);
    await program.run();
  });

  test('ends where the program is disposed between two runs', async () => {
    const { program, own, memory, trace } = newProgram();
    const profiling = program.profile(own, { runs: 9 });
    program.dispose();
    await expect(profiling).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect([trace.release, memory.release].map(({ mock }) => mock.calls.length)).toEqual([1, 1]);
  });

  test('is refused with other options, or by another engine', async () => {
    const { program, own, runner } = newProgram();
    for (const options of [{ alone: 1 }, { runs: 0 }, { runs: 1.5 }, { run: 5 }, { signal: {} }, null]) {
      await expect(program.profile(own, options as never)).rejects.toMatchObject({
        code: 'ERR_ARGUMENT',
        op: 'profile',
      });
    }
    const message = 'profile: the program belongs to another engine';
    await expect(program.profile(newProgram().own, {})).rejects.toMatchObject({ code: 'ERR_ARGUMENT', message });
    expect(runner.rentTrace).not.toHaveBeenCalled();
  });
});

describe('disposing', () => {
  test('gives the memory back at once, or at the end of the run', async () => {
    const idle = newProgram();
    idle.program.dispose();
    expect(idle.memory.release).toHaveBeenCalledTimes(1);
    const { program, memory } = newProgram();
    await program.run();
    const running = program.run();
    program.dispose();
    expect(memory.release).not.toHaveBeenCalled();
    await running;
    expect(memory.release).toHaveBeenCalledTimes(1);
  });

  test('twice is an error, unless a scope does it; a disposed program does not run', async () => {
    const { program, memory, own, runner } = newProgram();
    program.dispose();
    expect(() => program.dispose()).toThrow(
      expect.objectContaining({ code: 'ERR_DISPOSED', message: 'the program was disposed twice' }),
    );
    program[Symbol.dispose]();
    expect(memory.release).toHaveBeenCalledTimes(1);
    const disposed = { code: 'ERR_DISPOSED', message: 'the program was disposed' };
    await expect(program.run()).rejects.toMatchObject(disposed);
    await expect(program.run({ signl: 1 } as never)).rejects.toMatchObject(disposed);
    await expect(program.profile(own, {})).rejects.toMatchObject(disposed);
    expect(runner.run).not.toHaveBeenCalled();
  });

  test('lets go of pins that are kept', () => {
    const { program, started } = newProgram();
    void program.run();
    const [run] = started as [ProgramRun];
    const dispose = vi.spyOn(run, 'dispose');
    run.end(false);
    program.dispose();
    expect(dispose).toHaveBeenCalledTimes(1);
  });
});
