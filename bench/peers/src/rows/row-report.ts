// The report of a measured row: figures of every contender, ratios, and whether the target is met. Pure functions.
import type { Roofline } from '../../../../dist/src/hardware/roofline.js';
import { ratioOf, type Timing } from '../timing/interleave.js';
import { bytesOf, flopsOf } from '../work/work.js';
import { describeTarget, type Row, type Target } from './rows.js';

/** A contender whose result is right. */
export interface Entry {
  readonly name: string;
  readonly how: string;
  readonly timing: Timing;
  /** The same work beside a busy neighbour. */
  readonly beside?: Timing;
  /** Normalised mean squared difference of its result from ours; null when nothing is computed. */
  readonly error: number | null;
}

export interface Figure {
  readonly name: string;
  readonly how: string;
  /** In the unit of the row. */
  readonly value: number;
  readonly medianMs: number;
  readonly bestMs: number;
  readonly calls: number;
  readonly turnsMs: readonly number[];
  readonly gflops: number;
  readonly peakShare: number;
  readonly readShare: number;
  /** How many times longer than ours, the median over rounds; beside a neighbour, our kept share of speed over its. */
  readonly ratio: number;
  readonly error: number | null;
}

export interface RowReport {
  readonly name: string;
  readonly unit: Row['unit'];
  readonly ours: Figure;
  readonly peers: readonly Figure[];
  /** Name of the fastest peer, and its ratio. */
  readonly best: string | null;
  readonly ratio: number | null;
  /**
   * What bounds the row's work, the FMA peak or the read bandwidth, and the share that ours reaches; null for times.
   */
  readonly bound: 'P' | 'B' | null;
  readonly share: number | null;
  readonly target: string;
  /** Null without a target, or when the peer that it names is absent. */
  readonly met: boolean | null;
  /** GFLOPS that the target's multiple of a peer asks for where that is more than the FMA peak, which nobody can reach. */
  readonly beyondPeak: number | null;
  readonly notes: readonly string[];
  /** The share of the CPUs that other processes took meanwhile; null where the system does not report it. */
  readonly othersShare: number | null;
}

/** What a row's report depends on besides its timings. */
export interface Surroundings {
  /** The peaks of as many workers as the engine has. */
  readonly roofline: Roofline;
  /** The best share of the FMA peak of a large square product, if one was measured. */
  readonly squareShare: number | undefined;
  readonly notes: readonly string[];
  readonly othersShare: number | null;
}

export function reportRow(row: Row, ours: Entry, peers: readonly Entry[], surroundings: Surroundings): RowReport {
  const { roofline, notes, othersShare } = surroundings;
  const figure = (entry: Entry) => figureOf(row, entry, ours, roofline);
  const own = figure(ours);
  const figures = peers.map(figure);
  const isBetter = (one: Figure, other: Figure) =>
    row.kind === 'neighbour' ? one.value > other.value : one.medianMs < other.medianMs;
  const best = figures.reduce<Figure | undefined>((a, b) => (a === undefined || isBetter(b, a) ? b : a), undefined);
  const bound = row.unit === 'GFLOPS' ? boundOf(row, roofline) : null;
  return {
    name: row.name,
    unit: row.unit,
    ours: own,
    peers: figures,
    best: best?.name ?? null,
    ratio: best?.ratio ?? null,
    bound,
    share: bound === null ? null : bound === 'P' ? own.peakShare : own.readShare,
    target: row.target === undefined ? '' : describeTarget(row.target),
    met: row.target === undefined ? null : isMet(row.target, own, figures, { best, ...surroundings }),
    beyondPeak: bound === 'P' ? beyondPeak(row, rivalOf(row.target, figures, best), roofline) : null,
    notes,
    othersShare,
  };
}

function figureOf(row: Row, { name, how, timing, beside, error }: Entry, ours: Entry, roofline: Roofline): Figure {
  const { medianMs, bestMs, calls, turns } = timing;
  const gflops = flopsOf(row.work) / medianMs / 1e6;
  const kept = (entry: Entry) => 1 / ratioOf(entry.beside ?? entry.timing, entry.timing);
  const ops = row.work.op === 'negate' && row.unit === 'µs/op' ? row.work.ops : 1;
  const value = {
    GFLOPS: gflops,
    µs: medianMs * 1000,
    'µs/op': (medianMs * 1000) / ops,
    'of free speed': beside === undefined ? Number.NaN : kept({ name, how, timing, beside, error }),
  }[row.unit];
  return {
    name,
    how,
    value,
    medianMs,
    bestMs,
    calls,
    turnsMs: turns,
    gflops,
    peakShare: gflops / roofline.fmaGflops,
    readShare: bytesOf(row.work) / medianMs / 1e6 / roofline.readGBs,
    ratio: row.kind === 'neighbour' ? kept(ours) / value : ratioOf(timing, ours.timing),
    error,
  };
}

/** The read bandwidth if reading each operand once takes longer than the arithmetic at the peak. */
function boundOf(row: Row, { fmaGflops, readGBs }: Roofline): 'P' | 'B' {
  return bytesOf(row.work) / readGBs > flopsOf(row.work) / fmaGflops ? 'B' : 'P';
}

/** Stands in for the share of square products when none was measured in this run: it is their target. */
const defaultSquareShare = 0.93;

function isMet(
  { ofPeak, ofSquareOrRead, faster, belowUs, keepsFairShare }: Target,
  ours: Figure,
  peers: readonly Figure[],
  { best, squareShare, roofline }: Surroundings & { readonly best: Figure | undefined },
): boolean | null {
  if (ofPeak !== undefined && ours.peakShare < ofPeak) return false;
  if (ofSquareOrRead !== undefined) {
    const enough = ofSquareOrRead * (squareShare ?? defaultSquareShare);
    if (ours.peakShare < enough && ours.readShare < ofSquareOrRead) return false;
  }
  if (belowUs !== undefined && !(ours.value < belowUs)) return false;
  if (keepsFairShare && !(ours.value >= 1 - 0.5 / roofline.workers)) return false;
  if (faster === undefined) return true;
  const rival = rivalOf({ faster }, peers, best);
  return rival === undefined ? null : rival.ratio >= faster.times;
}

/** The contender that a target names. */
function rivalOf(target: Target | undefined, peers: readonly Figure[], best: Figure | undefined): Figure | undefined {
  const than = target?.faster?.than;
  return than === 'best' ? best : peers.find(({ name }) => name === than);
}

/** Of work in f32: products in 8 bits are not bounded by the peak of floats. */
function beyondPeak({ target, tolerance }: Row, rival: Figure | undefined, { fmaGflops }: Roofline): number | null {
  const wanted = (target?.faster?.times ?? 0) * (rival?.gflops ?? 0);
  return tolerance === undefined && wanted > fmaGflops ? wanted : null;
}
