// A thousand equal runs take no memory from the pool, cause no major garbage collection, and under 1 KB of heap each.
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { sharedEngines } from '../support/running/engines.js';
import { collectGarbage } from '../tensor/support.js';

const engineOf = sharedEngines();
const rounds = 1000;

interface Collection {
  readonly kind: number;
  readonly at: number;
}

/** The garbage collections that begin while `work` runs, without those that are forced before it. */
async function collectionsDuring(work: () => Promise<unknown>): Promise<Collection[]> {
  await collectGarbage(() => false, 3);
  const collections: Collection[] = [];
  const begin = performance.now();
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind } = (entry as unknown as { detail: { kind: number } }).detail;
      if (entry.startTime >= begin) collections.push({ kind, at: entry.startTime });
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  await work();
  // The observer gets its entries in a later turn.
  for (let turn = 0; turn < 3; turn++) await nextTurn();
  observer.disconnect();
  return collections;
}

async function repeat(round: () => Promise<unknown>, count: number): Promise<void> {
  for (let done = 0; done < count; done++) await round();
}

/**
 * Bytes of JavaScript heap that a round allocates, measured over windows of a hundred rounds. Without a collection, the
 * heap grows by exactly what was allocated, so windows with a collection are left out. The median of the others counts:
 * the first ones allocate more, because the collection before them discarded V8's type feedback.
 */
async function heapBytesPerRound(round: () => Promise<unknown>): Promise<number> {
  const windows: { begin: number; end: number; grown: number }[] = [];
  const collections = await collectionsDuring(async () => {
    for (let count = 0; count < 40; count++) {
      const begin = performance.now();
      const before = process.memoryUsage().heapUsed;
      await repeat(round, 100);
      windows.push({ begin, end: performance.now(), grown: process.memoryUsage().heapUsed - before });
    }
  });
  // With a margin, since the start times of collections are rounded.
  const undisturbed = windows.filter(({ begin, end }) => collections.every(({ at }) => at < begin - 1 || at > end));
  expect(undisturbed.length).toBeGreaterThan(10);
  const sorted = undisturbed.map(({ grown }) => grown / 100).sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

/** Major collections during a thousand rounds. */
async function majorCollections(round: () => Promise<unknown>): Promise<number> {
  const collections = await collectionsDuring(() => repeat(round, rounds));
  return collections.filter(({ kind }) => kind === constants.NODE_PERFORMANCE_GC_MAJOR).length;
}

test('heapBytesPerRound measures a known allocation', async () => {
  let kept: unknown;
  const measured = await heapBytesPerRound(async () => {
    kept = new Array(100).fill(0.5);
  });
  expect(kept).toHaveLength(100);
  expect(measured).toBeGreaterThan(800);
  expect(measured).toBeLessThan(1400);
});

interface Loop {
  readonly what: string;
  /** The most heap bytes for one call; 1 KiB by default. */
  readonly mostBytes?: number;
  readonly make: (engine: Engine) => { round: () => Promise<unknown>; dispose: () => void };
}

function matmulLoop(size: number): Loop {
  return {
    what: `matmul of ${size} into out`,
    make: (engine) => {
      const scope = engine.scope();
      const [a, b, out] = [scope.tensor([size, size]), scope.tensor([size, size]), scope.tensor([size, size])];
      return { round: () => engine.matmul(a, b, { out }), dispose: () => scope.dispose() };
    },
  };
}

const loops: readonly Loop[] = [
  matmulLoop(8),
  matmulLoop(160),
  {
    what: 'a program',
    make: (engine) => {
      const program = engine.program((p) => {
        const x = p.input([160, 160]);
        return p.softmax(p.matmul(p.layerNorm(x), x.transpose()));
      });
      return { round: () => program.run(), dispose: () => program.dispose() };
    },
  },
  {
    what: 'a program with a signal',
    // Includes Node's registration of the listener.
    mostBytes: 2048,
    make: (engine) => {
      const program = engine.program((p) => p.matmul(p.input([160, 160]), p.input([160, 160])));
      const { signal } = new AbortController();
      return { round: () => program.run({ signal }), dispose: () => program.dispose() };
    },
  },
  {
    what: 'several calls in turn',
    make: (engine) => {
      const scope = engine.scope();
      const [x, y, weight] = [scope.tensor([200, 300]), scope.tensor([200, 300]), scope.tensor([300])];
      const round = async () => {
        await engine.rmsNorm(x, weight, { out: y });
        await engine.add(x, y, { out: y });
        await engine.softmax(y, { out: y });
      };
      return { round, dispose: () => scope.dispose() };
    },
  },
];

/** Calls of the API in a round of the loop. */
const callsIn = (what: string) => (what === 'several calls in turn' ? 3 : 1);

test.each(loops)('$what', async ({ what, mostBytes = 1024, make }) => {
  const engine = await engineOf({ threads: 2 });
  const { round, dispose } = make(engine);
  for (let warmUp = 0; warmUp < 2000; warmUp++) await round();
  const { pool } = engine.stats();
  // The cost of awaiting a promise is the caller's.
  const waiting = await heapBytesPerRound(async () => {});
  const bytes = (await heapBytesPerRound(round)) - waiting;
  expect(bytes / callsIn(what)).toBeLessThan(mostBytes);
  const residentBefore = process.memoryUsage.rss();
  expect(await majorCollections(round)).toBe(0);
  // Allows for a young generation that was not full yet.
  expect(process.memoryUsage.rss() - residentBefore).toBeLessThan(48 << 20);
  const after = engine.stats().pool;
  const { rents: _rents, reuses: _reuses, reuseRate: _rate, ...held } = pool;
  expect(after).toMatchObject(held);
  // Every rent of a run reuses a block.
  expect(after.rents - pool.rents).toBe(after.reuses - pool.reuses);
  dispose();
});
