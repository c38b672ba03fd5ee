// The HTML page of `tesserae bench --report`: it loads no other file, shows the figures and escapes names; the axes;
// the documents of peers. Its look is not tested.
import { describe, expect, test } from 'vitest';
import { element } from '../../../../bench/reports/html/drawing/markup.js';
import {
  linearScale,
  log2Scale,
  log10Scale,
  roundEnd,
  type Scale,
} from '../../../../bench/reports/html/drawing/scale.js';
import { renderPage } from '../../../../bench/reports/html/page.js';
import { parsePeers, peerNames } from '../../../../bench/reports/html/peers-document.js';
import { peersDocument, reportFixture } from '../../../support/bench/report-fixture.js';

const date = new Date('2026-01-02T03:04:05Z');
const full = reportFixture();
const page = renderPage(full, date);

describe('the page', () => {
  test('loads no other file', () => {
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|src=|https?:/i);
    expect([...page.matchAll(/href="([^"]*)"/g)].every(([, target]) => target?.startsWith('#'))).toBe(true);
  });

  test('closes every element, in order', () => {
    const open: string[] = [];
    for (const [, closing, name, selfClosing] of page.matchAll(/<(\/?)([a-z0-9]+)[^>]*?(\/?)>/gi)) {
      if (name === 'meta' || name === 'doctype' || selfClosing === '/') continue;
      if (closing === '') open.push(name as string);
      else expect(open.pop()).toBe(name);
    }
    expect(open).toEqual([]);
  });

  test('has a chapter with a plot and a table for each suite, and the links to them', () => {
    const ids = ['matmul', 'peers', 'roofline', 'scaling', 'latency', 'serving', 'timeline'];
    const plots: Readonly<Record<string, number>> = { peers: 0, serving: 2 };
    expect([...page.matchAll(/<section id="([^"]+)"/g)].map(([, id]) => id)).toEqual(ids);
    for (const id of ids) {
      const chapter = page.split(`<section id="${id}">`)[1]?.split('</section>')[0] ?? '';
      expect(chapter).toContain('<table>');
      // Each plot is drawn twice: for wide windows and for phones.
      expect([...chapter.matchAll(/<svg viewBox="0 0 (960|360) /g)]).toHaveLength(2 * (plots[id] ?? 1));
      expect(page).toContain(`href="#${id}"`);
    }
  });

  test('draws no position that is not a number', () => {
    expect(page).not.toMatch(/NaN|Infinity|undefined|\[object/);
  });

  test('keeps all that is drawn within the drawing', () => {
    for (const [, size, content = ''] of page.matchAll(/<svg viewBox="0 0 ([\d. ]+)" role="img"[^>]*>(.*?)<\/svg>/gs)) {
      const [width = 0, height = 0] = (size as string).split(' ').map(Number);
      for (const [, axis, value] of content.matchAll(/ (x1?|x2|cx|y1?|y2|cy)="(-?[\d.]+)"/g)) {
        expect(Number(value)).toBeGreaterThanOrEqual(0);
        expect(Number(value)).toBeLessThanOrEqual(axis?.includes('x') ? width : height);
      }
    }
  });

  test('escapes names', () => {
    expect(page).toContain('A &#60;CPU&#62; &#38; more');
    expect(page).not.toContain('<CPU>');
    expect(element('a', { b: '"<' }, 'c & d', ['<', 1]).text).toBe('<a b="&#34;&#60;">c &#38; d&#60;1</a>');
  });

  test('has the figures of the tables: of ours, of peers, and of the steps', () => {
    for (const text of [
      '54.6',
      '190 (722 ms, 94 %)',
      '1.96×',
      '14.2 µs',
      'pack_b',
      '(1.33×)',
      'missed',
      '200 (6.17×)',
      'at least 6.00×',
      '2026-01-02 03:04',
    ]) {
      expect(page).toContain(text);
    }
  });

  test('draws a box for each tile, twice', () => {
    const boxes = [...page.matchAll(/class="tile s\d"/g)];
    expect(boxes).toHaveLength(2 * (full.timeline?.profile.tiles.length as number));
  });

  test('of one suite alone has no empty chapter', () => {
    const { report } = full;
    const latency = report.suites.filter(({ suite }) => suite === 'latency');
    const alone = { report: { ...report, roofline: [], suites: latency }, peers: undefined, timeline: undefined };
    expect([...renderPage(alone, date).matchAll(/<section id="([^"]+)"/g)].map(([, id]) => id)).toEqual(['latency']);
    const square = report.suites.flatMap((suite) =>
      suite.suite === 'matmul' ? [{ ...suite, rows: suite.rows.slice(0, 1) }] : [],
    );
    const single = renderPage({ report: { ...report, suites: square }, peers: undefined, timeline: undefined }, date);
    expect(single).not.toMatch(/NaN|Infinity|undefined/);
  });
});

describe('parsePeers', () => {
  test('takes ours first, then the peers that have figures', () => {
    const peers = parsePeers(peersDocument);
    expect(peers).toMatchObject({ workers: 2, about: ['openblas: 0.3.29, ZEN, 2 threads'] });
    expect(peerNames(peers)).toEqual(['openblas', 'onnxruntime', 'piscina']);
    expect(peers.rows[0]).toMatchObject({ name: 'matmul 64', size: 64, met: true });
    expect(peers.rows[0]?.figures.map(({ name }) => name)).toEqual(['tesserae', 'openblas', 'onnxruntime']);
    expect(peers.rows.at(-1)).toMatchObject({ size: undefined, unit: 'µs', met: false });
  });

  test('leaves out what has no figure', () => {
    const { rows } = peersDocument;
    const broken = { ...rows[0], peers: [null, { name: 'x', value: null, medianMs: 1, gflops: 1 }] };
    const peers = parsePeers({ workers: 2, rows: [{ name: 'matmul 8', unit: 'GFLOPS' }, broken] });
    expect(peers.rows.map(({ figures }) => figures.map(({ name }) => name))).toEqual([['tesserae']]);
  });

  test.each([null, 3, [], {}, { rows: [] }, { workers: 2 }])('refuses %j', (document) => {
    expect(() => parsePeers(document)).toThrow(/no document of bench:peers/);
  });
});

describe('axes', () => {
  const labels = ({ ticks }: Scale) => ticks.map(({ label }) => label);
  const at = { start: 10, end: 110 };

  test('linear, with round steps', () => {
    const scale = linearScale({ from: 0, to: 250, ...at }, 5);
    expect(labels(scale)).toEqual(['0', '50', '100', '150', '200', '250']);
    expect(scale.at(125)).toBe(60);
    expect(labels(linearScale({ from: 0, to: 0.3, ...at }, 3))).toEqual(['0', '0.1', '0.2', '0.3']);
    expect([roundEnd(203, 6), roundEnd(7, 4), roundEnd(1, 4)]).toEqual([250, 8, 1]);
  });

  test('powers of two', () => {
    const scale = log2Scale({ from: 0.25, to: 4, ...at });
    expect(labels(scale)).toEqual(['0.25', '0.5', '1', '2', '4']);
    expect(scale.at(1)).toBeCloseTo(60, 9);
    expect(labels(log2Scale({ from: 1, to: 64, ...at }, 3))).toEqual(['1', '8', '64']);
  });

  test('decades, thinned where they would be too many', () => {
    expect(labels(log10Scale({ from: 0.1, to: 10, ...at }, 9))).toEqual(['0.1', '0.2', '0.5', '1', '2', '5', '10']);
    expect(labels(log10Scale({ from: 0.1, to: 20_000, ...at }, 9))).toEqual([
      '0.1',
      '1',
      '10',
      '100',
      '1000',
      '10,000',
    ]);
    expect(log10Scale({ from: 1, to: 100, ...at }, 9).at(10)).toBeCloseTo(60, 9);
  });
});
