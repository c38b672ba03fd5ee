// The suite allocations: what 1,000 calls allocate and leave behind, in the JavaScript heap, in the pool and in the
// process. In a steady state the pool must not grow.
import {
  constants,
  type PerformanceEntry,
  PerformanceObserver,
  type PerformanceObserverCallback,
} from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Engine } from '../../src/index.js';
import type { BenchContext, Origin } from '../measuring/context.js';
import { fillUniform } from '../measuring/seeded-numbers.js';
import { median } from '../measuring/statistics.js';

export interface AllocationRow extends Origin {
  readonly name: string;
  readonly what: string;
  readonly workers: number;
  readonly calls: number;
  /** Bytes of JavaScript heap taken per call, garbage included. */
  readonly heapBytesPerCall: number;
  /** Bytes of JavaScript heap per call that are still there after a collection. */
  readonly heapKeptBytesPerCall: number;
  /** Growth over all calls: of the shared memory that the pool holds, of what is rented from it, of the process. */
  readonly poolGrowthBytes: number;
  readonly rentedGrowthBytes: number;
  readonly rssGrowthBytes: number;
  readonly minorGcs: number;
  readonly majorGcs: number;
}

interface Case {
  readonly name: string;
  readonly what: string;
  call(): Promise<unknown>;
}

const calls = 1000;
const warmupCalls = 300;
/** The heap is read after each batch of calls. A collection spoils the figure of its batch; the median ignores it. */
const batches = 20;

export async function benchAllocations(context: BenchContext): Promise<AllocationRow[]> {
  const engine = context.widest;
  const rows: AllocationRow[] = [];
  using scope = engine.scope();
  const { signal } = context;
  const a = scope.tensor([256, 256]);
  const b = scope.tensor([256, 256]);
  const out = scope.tensor([256, 256]);
  const small = scope.tensor([64]);
  fillUniform(a.data, 1);
  fillUniform(b.data, 2);
  using program = blockProgram(engine);
  const cases: Case[] = [
    {
      name: 'matmul_out',
      what: 'engine.matmul(a, b, { out }), 256³, on the workers',
      call: () => engine.matmul(a, b, { out, signal }),
    },
    {
      name: 'scale_out',
      what: 'engine.scale(x, factor, { out }), 64 elements, on the calling thread',
      call: () => engine.scale(small, 0.5, { out: small, signal }),
    },
    {
      name: 'replay',
      what: `program.run(), ${program.kernels.length} ops, on the workers`,
      call: () => program.run({ signal }),
    },
    {
      name: 'matmul_new',
      what: 'engine.matmul(a, b), 256³, and dispose() of the result',
      call: async () => (await engine.matmul(a, b, { signal })).dispose(),
    },
  ];
  for (const entry of cases) {
    context.progress(`allocations, ${entry.name}`);
    rows.push({ ...(await measure(engine, entry)), ...context.origin });
  }
  return rows;
}

/** A transformer block over 64 tokens, 256 wide. */
function blockProgram(engine: Engine) {
  return engine.program((p) => {
    const x = p.input([1, 64, 256]);
    const norm = p.input([256]);
    const [wq, wk, wv, wo] = [0, 1, 2, 3].map(() => p.input([256, 256])) as [typeof x, typeof x, typeof x, typeof x];
    const up = p.input([256, 1024]);
    const down = p.input([1024, 256]);
    const attended = p.multiHeadAttention(p.rmsNorm(x, norm), { wq, wk, wv, wo, heads: 8, causal: true });
    const hidden = p.add(x, attended);
    const inner = p.matmul(p.rmsNorm(hidden, norm), up, { activation: 'gelu' });
    return { y: p.matmul(inner, down, { residual: hidden }) };
  });
}

async function measure(engine: Engine, { name, what, call }: Case): Promise<Omit<AllocationRow, keyof Origin>> {
  for (let i = 0; i < warmupCalls; i++) await call();
  const collections = { minor: 0, major: 0 };
  const count: PerformanceObserverCallback = (list) => {
    for (const entry of list.getEntries()) {
      // Node's typings lack `detail`, which entries of garbage collections have since Node 16.
      const { kind } = (entry as PerformanceEntry & { detail: { kind: number } }).detail;
      if (kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections.major++;
      else if (kind === constants.NODE_PERFORMANCE_GC_MINOR) collections.minor++;
    }
  };
  collect();
  const keptBefore = process.memoryUsage().heapUsed;
  // Entries of collections arrive one turn of the event loop later: those from before are over when it starts.
  const observer = new PerformanceObserver(count);
  await nextTurn();
  observer.observe({ entryTypes: ['gc'] });
  const before = { pool: engine.stats().pool, rss: process.memoryUsage.rss() };
  const heapPerCall: number[] = [];
  for (let batch = 0; batch < batches; batch++) {
    const heapBefore = process.memoryUsage().heapUsed;
    for (let i = 0; i < calls / batches; i++) await call();
    heapPerCall.push((process.memoryUsage().heapUsed - heapBefore) / (calls / batches));
  }
  const after = { pool: engine.stats().pool, rss: process.memoryUsage.rss() };
  await nextTurn();
  observer.disconnect();
  collect();
  const heapKept = process.memoryUsage().heapUsed - keptBefore;
  return {
    name,
    what,
    workers: engine.threads,
    calls,
    heapBytesPerCall: median(heapPerCall),
    heapKeptBytesPerCall: heapKept / calls,
    poolGrowthBytes: after.pool.heldBytes - before.pool.heldBytes,
    rentedGrowthBytes: after.pool.rentedBytes - before.pool.rentedBytes,
    rssGrowthBytes: after.rss - before.rss,
    minorGcs: collections.minor,
    majorGcs: collections.major,
  };
}

/** A full collection of garbage. */
function collect(): void {
  // The flag acts on contexts that are made after it.
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
