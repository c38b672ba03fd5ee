// The chapter on the suite model: how fast a model computes a prompt and continues it, as a table.
import { formatMs, formatNumber, formatShare, formatSpeedup } from '../../../../src/base/number-text.js';
import { table } from '../drawing/html-table.js';
import type { Chapter, ReportData } from '../page-data.js';
import { rowsOf } from '../page-data.js';

export function modelChapter({ report }: ReportData): Chapter | undefined {
  const rows = rowsOf(report, 'model');
  const [first] = rows;
  if (first === undefined) return undefined;
  return {
    id: 'model',
    title: 'Model',
    intro: `${first.model.split('/').at(-1)}, ${first.parameters.toLocaleString('en-US')} parameters.`,
    body: [
      table(
        [
          { title: 'phase', cell: ({ phase }) => phase, isText: true },
          { title: 'workers', cell: ({ workers }) => String(workers) },
          { title: 'tokens', cell: ({ tokens }) => String(tokens) },
          { title: 'median', cell: ({ medianMs }) => formatMs(medianMs) },
          { title: 'tokens/s', cell: ({ tokensPerSecond }) => formatNumber(tokensPerSecond) },
          { title: 'of peak', cell: ({ peakShare }) => formatShare(peakShare) },
          { title: 'of int8 peak', cell: ({ dotShare }) => formatShare(dotShare) },
          { title: 'of read', cell: ({ readShare }) => formatShare(readShare) },
          { title: 'speed-up', cell: ({ speedup }) => formatSpeedup(speedup) },
        ],
        rows,
        'Of peak: two flops a token and parameter. Of read: the weights once a token, above 1 where a cache holds them.',
      ),
    ],
  };
}
