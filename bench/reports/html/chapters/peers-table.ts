// The chapter with all rows of the peers' document, as a table.
import { formatNumber } from '../../../../src/base/number-text.js';
import { table } from '../drawing/html-table.js';
import type { Chapter, PeerFigure, PeerRow, ReportData } from '../page-data.js';
import { ourName, peerNames } from '../peers-document.js';

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
