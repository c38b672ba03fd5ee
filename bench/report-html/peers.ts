// The figures of peers from the document of `pnpm bench:peers --json`, in which ours and theirs were measured in turn; and
// the chapter that shows all of its rows. What the document lacks is left out; what it gets wrong is refused.
import { formatNumber } from '../../src/base/number-text.js';
import type { Chapter, PeerData, PeerFigure, PeerRow, ReportData } from './data.js';
import { table } from './tables.js';

/** What the page calls us among the peers. */
export const ourName = 'tesserae';

/** @throws RangeError when it is no such document */
export function parsePeers(document: unknown): PeerData {
  const { rows, workers, peers } = asRecord(document);
  if (!Array.isArray(rows) || typeof workers !== 'number') {
    throw new RangeError('this is no document of bench:peers --json: it has no rows, or no number of workers');
  }
  const parsed = rows.map(asRecord).flatMap((row): PeerRow[] => {
    const { name, unit, ours, target, met } = row;
    const own = figureOf(ours, ourName);
    if (typeof name !== 'string' || typeof unit !== 'string' || own === undefined) return [];
    const others = Array.isArray(row.peers) ? row.peers.map((figure) => figureOf(figure)) : [];
    const [, size] = /^matmul (\d+)$/.exec(name) ?? [];
    return [
      {
        name,
        unit,
        size: size === undefined ? undefined : Number(size),
        figures: [own, ...others.filter((figure) => figure !== undefined)],
        target: typeof target === 'string' ? target : '',
        met: typeof met === 'boolean' ? met : undefined,
      },
    ];
  });
  const abouts = (Array.isArray(peers) ? peers : []).map(asRecord).filter(({ present }) => present === true);
  return { workers, rows: parsed, about: abouts.map(({ name, about }) => `${String(name)}: ${String(about)}`) };
}

function figureOf(value: unknown, as?: string): PeerFigure | undefined {
  const { name, value: figure, medianMs, gflops, ratio } = asRecord(value);
  const isNumber = (candidate: unknown): candidate is number => Number.isFinite(candidate);
  if (typeof name !== 'string' || !isNumber(figure) || !isNumber(medianMs) || !isNumber(gflops)) return undefined;
  return { name: as ?? name, value: figure, medianMs, gflops, ratio: isNumber(ratio) ? ratio : undefined };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** Every peer of the document, in the order of their first rows. */
export function peerNames({ rows }: PeerData): string[] {
  const names = rows.flatMap(({ figures }) => figures.map(({ name }) => name));
  return [...new Set(names)].filter((name) => name !== ourName);
}

/** The colour of a peer, the same in all plots: behind those of our own two series. */
export function peerColour(peers: PeerData, name: string): number {
  return 2 + peerNames(peers).indexOf(name);
}

export function peersChapter({ peers }: ReportData): Chapter | undefined {
  if (peers === undefined || peers.rows.length === 0) return undefined;
  const names = peerNames(peers);
  return {
    id: 'peers',
    title: 'Beside its peers',
    intro: `Each row was measured in turn, ours and theirs, on ${peers.workers} threads; every result was compared with ours first.`,
    notes: peers.about,
    body: [
      table(
        [
          { title: 'work', cell: ({ name }) => name, isText: true },
          { title: 'unit', cell: ({ unit }) => unit, isText: true },
          { title: ourName, cell: ({ figures }) => formatNumber((figures[0] as PeerFigure).value) },
          ...names.map((title) => ({ title, cell: ({ figures }: PeerRow) => cellOf(figures, title) })),
          { title: 'target', cell: ({ target }) => target, isText: true },
          { title: '', cell: ({ met }) => (met === undefined ? '' : met ? 'met' : 'missed'), isText: true },
        ],
        peers.rows,
        'In brackets: how many times longer the peer takes than tesserae, the median of rounds; beside a busy neighbour, how much more of our own speed we keep.',
      ),
    ],
  };
}

function cellOf(figures: readonly PeerFigure[], name: string): string {
  const figure = figures.find((candidate) => candidate.name === name);
  if (figure === undefined) return '';
  return `${formatNumber(figure.value)}${figure.ratio === undefined ? '' : ` (${figure.ratio.toFixed(2)}×)`}`;
}
