// Two builds side by side: the documents that `tesserae bench … --json` printed in turns for the working tree and for
// another commit, as ratios. Pure functions; scripts/bench-compare.mjs builds, runs and prints.

import { formatMs, formatNumber } from '../../src/base/number-text.js';
import { largest, median, smallest } from '../measuring/statistics.js';
import { asRecord, asRecords } from '../reports/json-document.js';
import { type Column, renderTable } from '../reports/table.js';

export type Side = 'tree' | 'other';

/** The outcome of one process: its document, or why there is none, such as a wrong result. */
export type SideRun = { readonly document: unknown } | { readonly problem: string };

/** One round: both sides, each in a process of its own. */
export type Round = Readonly<Record<Side, SideRun>>;

export interface ComparedRow {
  readonly suite: string;
  readonly name: string;
  readonly workers: number;
  readonly unit: string;
  /** Medians over the rounds, of times: less is better. */
  readonly tree: number;
  readonly other: number;
  /** How many times as fast the working tree is: the median of the rounds' ratios, and the range of them. */
  readonly ratio: number;
  readonly ratioLow: number;
  readonly ratioHigh: number;
  readonly rounds: number;
}

export interface RefusedRow {
  readonly suite: string;
  readonly name: string;
  readonly workers: number;
  readonly reason: string;
}

export interface Comparison {
  readonly rows: readonly ComparedRow[];
  /** Rows of either side that have no right result on both sides in every round. */
  readonly refused: readonly RefusedRow[];
  /** What the processes without a document printed, each message once. */
  readonly problems: readonly string[];
}

/** The order in which the sides run in each round: reversed from round to round, so that neither is always first. */
export function turnsOf(rounds: number): Side[][] {
  return Array.from({ length: rounds }, (_, round) => (round % 2 === 0 ? ['other', 'tree'] : ['tree', 'other']));
}

/** What a comparison needs of a row. */
interface Figure {
  readonly suite: string;
  readonly name: string;
  readonly workers: number;
  readonly unit: string;
  readonly time: number;
  /** What was measured: two builds may measure different work by one name. */
  readonly subject: string;
}

export function compareRounds(rounds: readonly Round[]): Comparison {
  const sides = rounds.map((round) => ({ tree: figuresOf(round.tree), other: figuresOf(round.other) }));
  const all = new Map<string, Figure>();
  for (const { tree, other } of sides) for (const [key, figure] of [...tree, ...other]) all.set(key, figure);
  const rows: ComparedRow[] = [];
  const refused: RefusedRow[] = [];
  for (const [key, { suite, name, workers, unit }] of all) {
    const pairs = sides.map(({ tree, other }) => ({ tree: tree.get(key), other: other.get(key) }));
    const reason = whyRefused(pairs);
    if (reason !== undefined) {
      refused.push({ suite, name, workers, reason });
      continue;
    }
    const times = (side: Side) => pairs.map((pair) => (pair[side] as Figure).time);
    const ratios = pairs.map(({ tree, other }) => (other as Figure).time / (tree as Figure).time);
    rows.push({
      suite,
      name,
      workers,
      unit,
      tree: median(times('tree')),
      other: median(times('other')),
      ratio: median(ratios),
      ratioLow: smallest(ratios),
      ratioHigh: largest(ratios),
      rounds: rounds.length,
    });
  }
  return { rows, refused, problems: problemsOf(rounds) };
}

type Pair = Readonly<Record<Side, Figure | undefined>>;

function whyRefused(pairs: readonly Pair[]): string | undefined {
  for (const side of ['tree', 'other'] as const) {
    const who = side === 'tree' ? 'the working tree' : 'the other commit';
    const absent = pairs.filter((pair) => pair[side] === undefined).length;
    if (absent > 0) return `no right result of ${who} in ${absent} of ${pairs.length} rounds`;
    if (pairs.some((pair) => !((pair[side] as Figure).time > 0))) return `a time of ${who} is no positive number`;
  }
  const subjects = new Set(pairs.flatMap(({ tree, other }) => [(tree as Figure).subject, (other as Figure).subject]));
  return subjects.size > 1 ? `the name stands for different work: ${[...subjects].join(' and ')}` : undefined;
}

function problemsOf(rounds: readonly Round[]): string[] {
  const problems = new Set<string>();
  for (const round of rounds) {
    for (const side of ['tree', 'other'] as const) {
      const run = round[side];
      if ('problem' in run) problems.add(`${side === 'tree' ? 'working tree' : 'other commit'}: ${run.problem}`);
    }
  }
  return [...problems];
}

/** The rows that have a time. The document may be from an older build: rows of another form are left out. */
function figuresOf(run: SideRun): Map<string, Figure> {
  const figures = new Map<string, Figure>();
  if ('problem' in run) return figures;
  for (const { suite, rows } of asRecords(asRecord(run.document).suites)) {
    for (const row of asRecords(rows)) {
      const { workers, what, shape, model, phase, unit } = row;
      const name = row.name ?? phase;
      const time = row.medianMs ?? row.median;
      if (typeof suite !== 'string' || typeof name !== 'string' || typeof workers !== 'number') continue;
      if (typeof time !== 'number') continue;
      const subject = [shape ?? what ?? model ?? '', row.flops ?? row.tokens ?? ''].join(' ').trim();
      const unitOfTime = typeof unit === 'string' ? unit : 'ms';
      figures.set(`${suite} ${name} ${workers}`, { suite, name, workers, unit: unitOfTime, time, subject });
    }
  }
  return figures;
}

const columns: Column<ComparedRow>[] = [
  { title: '', align: 'left', cell: ({ suite, name }) => `${suite} ${name}` },
  { title: 'workers', align: 'right', cell: ({ workers }) => String(workers) },
  { title: 'other', align: 'right', cell: ({ other, unit }) => formatTime(other, unit) },
  { title: 'tree', align: 'right', cell: ({ tree, unit }) => formatTime(tree, unit) },
  { title: 'tree is', align: 'right', cell: ({ ratio }) => `${ratio.toFixed(3)}×` },
  { title: 'from', align: 'right', cell: ({ ratioLow }) => ratioLow.toFixed(3) },
  { title: 'to', align: 'right', cell: ({ ratioHigh }) => ratioHigh.toFixed(3) },
];

function formatTime(time: number, unit: string): string {
  return unit === 'ms' ? formatMs(time) : `${formatNumber(time)} ${unit}`;
}

/** The comparison as text. */
export function formatComparison({ rows, refused, problems }: Comparison): string {
  const parts = rows.length > 0 ? [renderTable(columns, rows)] : [];
  if (refused.length > 0) {
    const lines = refused.map(
      ({ suite, name, workers, reason }) => `  ${suite} ${name}, ${workers} workers: ${reason}\n`,
    );
    parts.push(`not compared\n${lines.join('')}`);
  }
  if (problems.length > 0) parts.push(`failed runs\n${problems.map((problem) => `  ${problem}\n`).join('')}`);
  return parts.length > 0 ? parts.join('\n') : 'nothing was measured\n';
}
