// Reads the document of `pnpm bench:peers --json`, in which our figures and those of the peers were measured in turns.
// Rows without a figure of ours are left out; what is no such document is refused.
import { asRecord, asRecords } from '../json-document.js';
import type { PeerData, PeerFigure, PeerRow } from './page-data.js';

/** Our name among the peers on the page. */
export const ourName = 'tesserae';

/** Reads the document. @throws RangeError when it is no document of bench:peers */
export function parsePeers(document: unknown): PeerData {
  const { rows, workers, peers } = asRecord(document);
  if (!Array.isArray(rows) || typeof workers !== 'number') {
    throw new RangeError('this is no document of bench:peers --json: it has no rows, or no number of workers');
  }
  const parsed = asRecords(rows).flatMap((row): PeerRow[] => {
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
  const abouts = asRecords(peers).filter(({ present }) => present === true);
  return { workers, rows: parsed, about: abouts.map(({ name, about }) => `${String(name)}: ${String(about)}`) };
}

function figureOf(value: unknown, as?: string): PeerFigure | undefined {
  const { name, value: figure, medianMs, gflops, ratio } = asRecord(value);
  const isNumber = (candidate: unknown): candidate is number => Number.isFinite(candidate);
  if (typeof name !== 'string' || !isNumber(figure) || !isNumber(medianMs) || !isNumber(gflops)) return undefined;
  return { name: as ?? name, value: figure, medianMs, gflops, ratio: isNumber(ratio) ? ratio : undefined };
}

/** Every peer of the document, in the order of their first rows. */
export function peerNames({ rows }: PeerData): string[] {
  const names = rows.flatMap(({ figures }) => figures.map(({ name }) => name));
  return [...new Set(names)].filter((name) => name !== ourName);
}

/** The colour of a peer, the same in all plots; the first two are those of our own series. */
export function peerColour(peers: PeerData, name: string): number {
  return 2 + peerNames(peers).indexOf(name);
}
