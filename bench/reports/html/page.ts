// The report as one HTML file that loads no other: its style, its plots and its tables.
import { formatBytes, formatNumber } from '../../../src/base/number-text.js';
import { latencyChapter } from './chapters/latency-plot.js';
import { matmulChapter } from './chapters/matmul-plot.js';
import { modelChapter } from './chapters/model-table.js';
import { peersChapter } from './chapters/peers-table.js';
import { rooflineChapter } from './chapters/roofline-plot.js';
import { scalingChapter } from './chapters/scaling-plot.js';
import { servingChapter } from './chapters/serving-plot.js';
import { timelineChapter } from './chapters/timeline-plot.js';
import { table } from './drawing/html-table.js';
import { element, Markup } from './drawing/markup.js';
import { style } from './drawing/style.js';
import type { Chapter, ReportData } from './page-data.js';

const chapters = [
  matmulChapter,
  peersChapter,
  rooflineChapter,
  scalingChapter,
  latencyChapter,
  modelChapter,
  servingChapter,
  timelineChapter,
];

/** @param date when the figures were taken */
export function renderPage(data: ReportData, date: Date): string {
  const present = chapters.map((chapter) => chapter(data)).filter((chapter) => chapter !== undefined);
  const page = element(
    'html',
    { lang: 'en' },
    element(
      'head',
      {},
      new Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
      new Markup('<meta name="color-scheme" content="light dark">'),
      element('title', {}, 'tesserae: benchmark report'),
      element('style', {}, new Markup(style)),
    ),
    element(
      'body',
      {},
      header(data, date),
      element(
        'nav',
        {},
        present.map(({ id, title }) => element('a', { href: `#${id}` }, title)),
      ),
      element('main', {}, present.map(section)),
    ),
  );
  return `<!doctype html>\n${page.text}\n`;
}

function section({ id, title, intro, notes = [], body }: Chapter): Markup {
  const list = notes.map((note) => element('li', {}, note));
  return element(
    'section',
    { id },
    element('h2', {}, title),
    element('p', {}, intro),
    list.length === 0 ? '' : element('ul', {}, list),
    body,
  );
}

function header({ report }: ReportData, date: Date): Markup {
  const { machine, isa, roofline } = report;
  const caches = machine.caches.filter(({ kind }) => kind !== 'instruction');
  const facts = [
    `${machine.cpu}, ${machine.cores} CPUs, ${isa} kernels`,
    caches.map((cache) => `${cache.name} ${formatBytes(cache.sizeBytes)}`).join(', '),
    `tesserae ${machine.tesserae}${machine.commit === null ? '' : `, commit ${machine.commit}`}, Node ${machine.node}`,
    `measured ${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
  ];
  return element(
    'header',
    {},
    element('h1', {}, 'tesserae: benchmark report'),
    facts.filter((fact) => fact !== '').map((fact) => element('p', { class: 'fact' }, fact)),
    roofline.length === 0
      ? ''
      : table(
          [
            { title: 'workers', cell: ({ workers }) => String(workers) },
            { title: 'kernel set', cell: (row) => row.isa, isText: true },
            { title: 'FMA peak, GFLOPS', cell: ({ fmaGflops }) => formatNumber(fmaGflops) },
            { title: 'int8 peak, GMAC/s', cell: ({ dotGmacs }) => formatNumber(dotGmacs) },
            { title: 'read bandwidth, GB/s', cell: ({ readGBs }) => formatNumber(readGBs) },
          ],
          roofline,
          'Probed in this run with the best kernel set of the machine: what the hardware can give.',
        ),
  );
}
