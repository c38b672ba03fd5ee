// Engines that the tests of a file share: started at first use, closed after the last test.
import { afterAll } from 'vitest';
import { Engine, type EngineOptions } from '../../../src/engine.js';
import type { IsaName } from '../../../src/machine/environment.js';
import { loadAddon } from '../../../src/native/load.js';

/** The kernel sets that this CPU can run. */
export const isas = loadAddon().isas as readonly IsaName[];

export const workerCounts = [1, 2, 3, 7] as const;

/** Call it at the top of a test file. The function that it returns gives the shared engine with these options. */
export function sharedEngines(): (options?: EngineOptions) => Promise<Engine> {
  const engines = new Map<string, Promise<Engine>>();
  afterAll(async () => {
    for (const engine of engines.values()) await (await engine).close();
  });
  return (options = {}) => {
    const key = JSON.stringify(options);
    let engine = engines.get(key);
    if (engine === undefined) {
      engine = Engine.create({ memoryBudget: 2 ** 30, ...options });
      engines.set(key, engine);
    }
    return engine;
  };
}
