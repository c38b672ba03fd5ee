// The command `pnpm bench:peers`: opens an engine and all peers that are present, measures the rows and prints them on
// standard output; everything else goes to standard error.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine, Engine, type Machine, probeRoofline, type Roofline } from '../../../dist/src/index.js';
import { openPeers, type PeerStatus } from './processes/open-peers.js';
import type { RowReport } from './rows/row-report.js';
import { detailLine, percent, tableHead, tableLine } from './rows/row-text.js';
import { isLargeSquare, type Row, rowsFor } from './rows/rows.js';
import { type Bench, runRow } from './rows/run-row.js';
import type { Pace } from './timing/interleave.js';
import { Neighbour } from './timing/neighbour.js';

const usage = `pnpm bench:peers [options]
  --quick         fewer rows and fewer repeats: under a minute
  --only REGEX    only the rows whose name matches
  --threads N     workers, and threads of every peer (default: what the engine takes)
  --peers A,B     only these peers
  --details       every peer of a row, not only the best
  --json          one JSON document on standard output instead of the table
  --list          the names of the rows`;

const paces: Readonly<Record<'full' | 'quick', Pace>> = {
  full: { rounds: 7, turnMs: 60, budgetMs: 6000 },
  quick: { rounds: 3, turnMs: 30, budgetMs: 1500 },
};

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`bench:peers: ${error instanceof Error ? error.message : error}\n`);
  return 1;
});

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === 'number') return options;
  const { only, quick, json } = options;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  await using engine = await Engine.create({ threads: options.threads });
  const rows = rowsFor(engine.threads).filter((row) => only.test(row.name) && (!quick || row.inQuick));
  if (options.list) {
    process.stdout.write(rows.map(({ name }) => `${name}\n`).join(''));
    return 0;
  }
  if (rows.length === 0) throw new Error('no row has such a name; --list shows them');
  await using single = await Engine.create({ threads: 1 });
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-peers-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const { peers, statuses } = await openPeers(engine.threads, options.peers, progress);
  const neighbour = await Neighbour.start().catch(() => undefined);
  try {
    const started = performance.now();
    const roofline = await probe([...new Set([1, engine.threads])]);
    const pace = quick ? paces.quick : paces.full;
    const own = { squareShare: undefined, during: { cpuMs: 0, turnsMs: 0 } };
    const bench: Bench = { engine, single, peers, neighbour, roofline, pace, folder, ...own };
    const machine = await describeMachine();
    if (!json) process.stdout.write(headOf(machine, bench, statuses));
    const { reports, failures } = await runRows(rows, bench, options);
    progress('');
    const document = {
      machine,
      workers: engine.threads,
      isa: engine.isa,
      pace,
      roofline,
      /** Probed again after the last row, to show how the machine's speed changed. */
      rooflineAtEnd: await probe([engine.threads]),
      peers: statuses,
      rows: reports,
      failures,
      ownShareDuringPeers: bench.during.cpuMs / Math.max(1, bench.during.turnsMs) / engine.threads,
      seconds: (performance.now() - started) / 1000,
    };
    process.stdout.write(json ? `${JSON.stringify(document, undefined, 2)}\n` : summaryOf(document));
    const isWrong = failures.length > 0 || reports.some(({ notes }) => notes.some((note) => note.startsWith('wrong')));
    return isWrong ? 1 : 0;
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
    neighbour?.stop();
  }
}

/** The roofline of the last of `counts`, all of which are probed in turns. */
async function probe(counts: readonly number[]): Promise<Roofline> {
  const rooflines = await probeRoofline(counts, { onProgress: (what) => progress(`probing ${what}`) });
  return rooflines.at(-1) as Roofline;
}

interface Failure {
  readonly name: string;
  readonly reason: string;
}

/** Measures the rows in order and prints each when it is done, unless all are printed as JSON at the end. */
async function runRows(
  rows: readonly Row[],
  bench: Bench,
  { json, details }: { readonly json: boolean; readonly details: boolean },
): Promise<{ readonly reports: readonly RowReport[]; readonly failures: readonly Failure[] }> {
  const reports: RowReport[] = [];
  const failures: Failure[] = [];
  for (const [index, row] of rows.entries()) {
    progress(`${index + 1}/${rows.length} ${row.name}`);
    try {
      const report = await runRow(row, bench);
      if (isLargeSquare(row)) bench.squareShare = Math.max(bench.squareShare ?? 0, report.ours.peakShare);
      reports.push(report);
      if (!json) process.stdout.write(`${tableLine(report)}\n${details ? `    ${detailLine(report)}\n` : ''}`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      failures.push({ name: row.name, reason });
      if (!json) process.stdout.write(`${row.name}: no figure: ${reason}\n`);
    }
  }
  return { reports, failures };
}

function headOf(machine: Machine, { engine, roofline }: Bench, statuses: readonly PeerStatus[]): string {
  const { threads, isa } = engine;
  const peerLines = statuses.map(({ name, present, about }) => `  ${name}: ${present ? about : `absent, ${about}`}\n`);
  return (
    `${machine.cpu}, ${availableParallelism()} CPUs, ${threads} workers, ${isa} kernels, Node ${machine.node}, ` +
    `commit ${machine.commit ?? 'unknown'}\n` +
    `P = ${roofline.fmaGflops.toFixed(1)} GFLOPS of FMA peak (${roofline.isa}), ` +
    `B = ${roofline.readGBs.toFixed(1)} GB/s read, of ${threads} workers\n` +
    `${peerLines.join('')}\n${tableHead()}\n`
  );
}

function summaryOf(document: {
  readonly rows: readonly RowReport[];
  readonly roofline: Roofline;
  readonly rooflineAtEnd: Roofline;
  readonly ownShareDuringPeers: number;
  readonly seconds: number;
}): string {
  const { rows, roofline, rooflineAtEnd, ownShareDuringPeers, seconds } = document;
  const judged = rows.filter(({ met }) => met !== null);
  const beyond = judged.filter(({ met, beyondPeak }) => !met && beyondPeak !== null).length;
  return (
    `\n${judged.filter(({ met }) => met).length} of ${judged.length} targets met, ${beyond} of the others ask for more ` +
    `than P, ${Math.round(seconds)} s; ` +
    `at the end P was ${percent(rooflineAtEnd.fmaGflops / roofline.fmaGflops)} and B ` +
    `${percent(rooflineAtEnd.readGBs / roofline.readGBs)} of those above; ` +
    `in the peers' turns this process took ${percent(ownShareDuringPeers)} of the CPUs\n`
  );
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', default: '' },
        threads: { type: 'string' },
        peers: { type: 'string' },
        details: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      return 0;
    }
    return {
      ...values,
      only: new RegExp(values.only),
      threads: values.threads === undefined ? undefined : Number(values.threads),
      peers: values.peers?.split(','),
    };
  } catch (error) {
    process.stderr.write(`bench:peers: ${error instanceof Error ? error.message : error}\n${usage}\n`);
    return 2;
  }
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
