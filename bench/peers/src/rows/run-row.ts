// Measures one row: prepares the work here and in every peer's process, times all in turns, compares the results, and
// frees what was prepared. A wrong result gives no figure.
import { differenceOf } from '../../../../dist/bench/measuring/checks.js';
import type { Roofline } from '../../../../dist/src/hardware/roofline.js';
import type { Engine } from '../../../../dist/src/index.js';
import { type Ours, prepareOurs } from '../ours/ours.js';
import type { PeerProcess } from '../processes/peer-process.js';
import { othersShare, readCpuTimes } from '../timing/disturbance.js';
import { type Contender, interleave, type Pace } from '../timing/interleave.js';
import type { Neighbour } from '../timing/neighbour.js';
import { timeTurn } from '../timing/turn.js';
import { type Entry, type RowReport, reportRow } from './row-report.js';
import type { Row } from './rows.js';

/** What all rows share. */
export interface Bench {
  readonly engine: Engine;
  /** An engine with one worker. */
  readonly single: Engine;
  readonly peers: readonly PeerProcess[];
  readonly neighbour: Neighbour | undefined;
  readonly roofline: Roofline;
  readonly pace: Pace;
  /** Peers write their results to files in it. */
  readonly folder: string;
  /** The best share of the FMA peak of a large square product so far. */
  squareShare: number | undefined;
  /** The CPU time of this process during the peers' turns, and their length, in milliseconds. */
  readonly during: { cpuMs: number; turnsMs: number };
}

interface Participant extends Contender {
  readonly how: string;
  result(): Promise<Float32Array>;
  release(): Promise<void> | void;
}

/** Allowed normalised mean squared difference of a result from ours; rounding in f32 stays below 1e-12. */
const tolerance = 1e-10;

export async function runRow(row: Row, bench: Bench): Promise<RowReport> {
  const before = readCpuTimes(pidsOf(bench));
  const notes: string[] = [];
  const ours = await prepareOurs(bench.engine, row.work, { asProgram: row.asProgram ?? false });
  const others: Participant[] = [];
  try {
    if (row.kind === 'scaling') others.push(inProcess('1 worker', await prepareOurs(bench.single, row.work)));
    else {
      for (const peer of bench.peers) {
        const participant = await prepare(peer, row, bench, notes);
        if (participant !== undefined) others.push(participant);
      }
    }
    const all = [inProcess('tesserae', ours), ...others];
    const beside = row.kind === 'neighbour' ? all.map((contender) => besideNeighbour(contender, bench.neighbour)) : [];
    const timings = await interleave([...all, ...beside], bench.pace, row.restMs);
    ours.check();
    const entries: Entry[] = [];
    for (const [index, { name, how, result }] of all.entries()) {
      const timing = timings[index] as (typeof timings)[number];
      const late = timings[all.length + index];
      const error = row.work.op === 'roundtrip' ? null : differenceOf(ours.out, await result());
      if (error !== null && !(error <= (row.tolerance ?? tolerance))) {
        notes.push(`wrong: the result of ${name} differs from ours by ${error}`);
        continue;
      }
      entries.push({ name, how, timing, error, ...(late === undefined ? {} : { beside: late }) });
    }
    return reportRow(row, entries[0] as Entry, entries.slice(1), {
      roofline: bench.roofline,
      squareShare: bench.squareShare,
      notes,
      othersShare: othersShare(before, readCpuTimes(pidsOf(bench))),
    });
  } finally {
    for (const other of others) await other.release();
    ours.release();
  }
}

function pidsOf({ peers, neighbour }: Bench): number[] {
  return [...peers.map(({ pid }) => pid), ...(neighbour === undefined ? [] : [neighbour.pid])];
}

function inProcess(name: string, { run, out, release }: Ours): Participant {
  return { name, how: '', turn: (options) => timeTurn(run, options), result: async () => out, release };
}

/** A peer with the work prepared; undefined if it cannot do it, with a note if that is an error. */
async function prepare(peer: PeerProcess, row: Row, bench: Bench, notes: string[]): Promise<Participant | undefined> {
  try {
    const how = await peer.prepare(row.work);
    if (how === undefined) return undefined;
    return {
      name: peer.name,
      how,
      turn: (options) => watched(bench, () => peer.turn(options)),
      result: () => peer.result(bench.folder),
      release: () => peer.release(),
    };
  } catch (error) {
    notes.push(`${peer.name}: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}

/** Measures the CPU time that this process, whose workers should be asleep, takes during a peer's turn. */
async function watched<T>(bench: Bench, work: () => Promise<T>): Promise<T> {
  const used = process.cpuUsage();
  const started = performance.now();
  const result = await work();
  const { user, system } = process.cpuUsage(used);
  bench.during.cpuMs += (user + system) / 1000;
  bench.during.turnsMs += performance.now() - started;
  return result;
}

function besideNeighbour(contender: Contender, neighbour: Neighbour | undefined): Contender {
  if (neighbour === undefined) throw new Error('there is no neighbour: taskset is missing');
  return {
    name: `${contender.name} beside a neighbour`,
    turn: (options) => neighbour.beside(() => contender.turn(options)),
  };
}
