// The suite many-cores: how a product, a prompt, a token and 32 rows at once are expected to scale to 64 cores. Each program is
// recorded for as many workers, and each of its tiles timed alone on one core; a replay adds what hand-overs and memory cost
// in measured runs on this machine. Where this machine has as many workers, the row also has the measured time.
import { bundledModelPath } from '../../../src/base/package-files.js';
import { Engine, type ProfileOptions, type ProgramProfile } from '../../../src/index.js';
import { readCaches } from '../../../src/machine/caches.js';
import type { BenchContext } from '../../measuring/context.js';
import { fillUniform, integersBelow } from '../../measuring/seeded-numbers.js';
import type { ModelBenchOptions } from '../model.js';
import { replaySteps, serialNs, teamCosts } from './costs.js';
import { type Bound, boundOf, type ReplayCosts, replay } from './replay.js';

export interface ManyCoresRow {
  readonly work: string;
  readonly workers: number;
  readonly predictedMs: number;
  /** On this machine, the shortest of some runs; null beyond its workers. */
  readonly measuredMs: number | null;
  /** Of the predicted time, the part before the first tile and after the last one. */
  readonly serialMs: number;
  /** Predicted, over one predicted worker. */
  readonly speedup: number;
  /** The same if memory were as fast as all cores together ask for. */
  readonly speedupInCaches: number;
  readonly bound: Bound;
}

export interface ManyCoresReport {
  readonly model: string;
  /** The most workers that this machine could measure. */
  readonly measuredWorkers: number;
  /** The measured costs that every row is predicted with. */
  readonly costs: Omit<ReplayCosts, 'serialNs'>;
  readonly rows: readonly ManyCoresRow[];
}

export interface ManyCoresOptions extends Pick<ModelBenchOptions, 'path' | 'promptTokens'> {
  /** By default 1, 2, 4, … 64, and as many as this machine has. */
  readonly workers?: readonly number[] | undefined;
  /** Bytes a nanosecond that memory gives; by default what the context has probed. */
  readonly readBytesPerNs?: number | undefined;
}

const defaultWorkers = [1, 2, 4, 8, 16, 32, 64];
const defaultPromptTokens = 256;
const rowsAtOnce = 32;
const productSize = 1024;
const measuredRuns = 11;
const aloneRuns = 5;
/** Of the last cache, which holds other things as well, and is shared with other processes. */
const cacheShare = 0.5;

/** The runs of each work. */
type Profiles = ReadonlyMap<string, readonly ProgramProfile[]>;

export async function benchManyCores(context: BenchContext, options: ManyCoresOptions = {}): Promise<ManyCoresReport> {
  const { signal, widest } = context;
  const work = { path: options.path ?? bundledModelPath(), tokens: options.promptTokens ?? defaultPromptTokens };
  const measured = new Map<number, Profiles>();
  for (const workers of context.counts) {
    context.progress(`many-cores, ${workers} workers measured`);
    measured.set(workers, await profileAll(context.engine(workers), work, { runs: 1, signal }, measuredRuns));
  }
  const ofWidest = measured.get(widest.threads) as Profiles;
  const readBytesPerNs = options.readBytesPerNs ?? context.roofline(widest.threads).readGBs;
  const costs = { ...teamCosts([...ofWidest.values()].flat()), readBytesPerNs };
  const cachedBytes = cacheShare * Math.max(0, ...readCaches().map(({ sizeBytes }) => sizeBytes));

  const rows: ManyCoresRow[] = [];
  const oneWorkerNs = new Map<string, { asIs: number; inCaches: number }>();
  const counts = options.workers ?? [...new Set([...defaultWorkers, widest.threads])].sort((a, b) => a - b);
  for (const workers of counts) {
    context.progress(`many-cores, the tiles for ${workers} workers`);
    await using engine = await Engine.create({ threads: workers });
    const alone = await profileAll(engine, work, { runs: 1, signal, alone: true }, aloneRuns);
    for (const [name, runs] of alone) {
      const steps = replaySteps(runs, cachedBytes);
      const own = { ...costs, serialNs: serialNs(shortest(ofWidest.get(name) as readonly ProgramProfile[])) };
      const asIs = replay(steps, workers, own);
      const inCaches = replay(steps, workers, { ...own, readBytesPerNs: Number.POSITIVE_INFINITY });
      const one = oneWorkerNs.get(name) ?? { asIs, inCaches };
      oneWorkerNs.set(name, one);
      const onMachine = measured.get(workers)?.get(name);
      rows.push({
        work: name,
        workers,
        predictedMs: asIs / 1e6,
        measuredMs: onMachine === undefined ? null : shortest(onMachine).wallNs / 1e6,
        serialMs: own.serialNs / 1e6,
        speedup: one.asIs / asIs,
        speedupInCaches: one.inCaches / inCaches,
        bound: boundOf(steps, workers, own),
      });
    }
  }
  const names = [...ofWidest.keys()];
  rows.sort((a, b) => names.indexOf(a.work) - names.indexOf(b.work) || a.workers - b.workers);
  return { model: work.path, measuredWorkers: widest.threads, costs, rows };
}

/** Anything else on this machine only adds to the time of a run, as to that of a tile. */
function shortest(runs: readonly ProgramProfile[]): ProgramProfile {
  return runs.reduce((best, run) => (run.wallNs < best.wallNs ? run : best));
}

/** Profiles each work `times` times. */
async function profileAll(
  engine: Engine,
  { path, tokens }: { readonly path: string; readonly tokens: number },
  options: ProfileOptions,
  times: number,
): Promise<Profiles> {
  const profiles = new Map<string, ProgramProfile[]>();
  const add = async (work: string, profile: () => Promise<ProgramProfile>) => {
    const all: ProgramProfile[] = [];
    for (let time = 0; time < times; time++) all.push(await profile());
    profiles.set(work, all);
  };
  using product = engine.program((p) => {
    const [a, b] = [p.input([productSize, productSize]), p.input([productSize, productSize])];
    fillUniform(a.data, 1);
    fillUniform(b.data, 2);
    return p.matmul(a, b);
  });
  await add(`matmul ${productSize}³`, () => engine.profile(product, options));
  using model = await engine.loadModel(path, { signal: options.signal });
  using session = model.session();
  const prompt = integersBelow(model.info.vocabulary, tokens, 1);
  await add(`prompt of ${tokens}`, () => session.profile(prompt, options));
  await session.append(prompt, { signal: options.signal });
  await add('a token', () => session.profile(prompt.slice(0, 1), options));
  await add(`${rowsAtOnce} rows`, () => session.profile(prompt.slice(0, rowsAtOnce), options));
  return profiles;
}
